package dfs

import (
	"strconv"
	"strings"
)

// Policy is a block storage policy: on which media the replicas of a block go, and how
// the block is made redundant. Ids and names of the first group are HDFS's own.
type Policy struct {
	ID       uint8
	Name     string
	Creation []StorageType // the last one repeats for further replicas
	// Fallbacks when a medium is full, at creation and for later replicas.
	CreationFallback    []StorageType
	ReplicationFallback []StorageType
	// Group is k, the data blocks of one parity group; 0 means plain replication.
	Group int
	// OnCreate says that a file takes the policy at its creation, of its flag or of its
	// directory, and keeps it: nobody can set it or change it later.
	OnCreate bool
}

// String describes the policy as HDFS's messages do.
func (p Policy) String() string {
	return "BlockStoragePolicy{" + p.Name + ":" + strconv.Itoa(int(p.ID)) + ", storageTypes=" + typeList(p.Creation) +
		", creationFallbacks=" + typeList(p.CreationFallback) + ", replicationFallbacks=" + typeList(p.ReplicationFallback) + "}"
}

func typeList(types []StorageType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// PolicyUnspecified means "inherit from the parent directory". The root's is PolicyHot.
const (
	PolicyUnspecified uint8 = 0
	PolicyHot         uint8 = 7
	PolicyLazyPersist uint8 = 15
)

// ReplicationEC is the erasure coding policy that says "no erasure coding": a directory's
// files are replicated whatever the directories above it have. HDFS takes it in any case.
const ReplicationEC = "replication"

// IsReplicationEC reports whether an erasure coding policy's name means plain replication.
func IsReplicationEC(name string) bool { return strings.EqualFold(name, ReplicationEC) }

// NoECPolicy is what a name node without erasure coding says about a policy's name.
func NoECPolicy(name string) string {
	return "Policy '" + name + "' does not match any enabled erasure coding policies: []. " +
		"An erasure coding policy can be enabled by enableErasureCodingPolicy API."
}

// MinParityData and MaxParityData bound k, the blocks of one parity group, and
// DefaultParityData is the k of the policy that is named RAID5 alone.
const (
	MinParityData     = 2
	MaxParityData     = 16
	DefaultParityData = 4
)

// parityPolicyBase plus k is the id of RAID5-k; ids 32 to 63 are kept for that.
const parityPolicyBase = 32

// Policies lists the policies by rising id, as getStoragePolicies answers them: HDFS's own,
// and those of the parity groups.
var Policies = append([]Policy{
	{ID: 1, Name: "PROVIDED", Creation: []StorageType{StorageProvided, StorageDisk}, CreationFallback: []StorageType{StorageProvided, StorageDisk}, ReplicationFallback: []StorageType{StorageProvided, StorageDisk}},
	{ID: 2, Name: "COLD", Creation: []StorageType{StorageArchive}},
	{ID: 5, Name: "WARM", Creation: []StorageType{StorageDisk, StorageArchive}, CreationFallback: []StorageType{StorageDisk, StorageArchive}, ReplicationFallback: []StorageType{StorageDisk, StorageArchive}},
	{ID: 7, Name: "HOT", Creation: []StorageType{StorageDisk}, ReplicationFallback: []StorageType{StorageArchive}},
	{ID: 10, Name: "ONE_SSD", Creation: []StorageType{StorageSSD, StorageDisk}, CreationFallback: []StorageType{StorageSSD, StorageDisk}, ReplicationFallback: []StorageType{StorageSSD, StorageDisk}},
	{ID: 12, Name: "ALL_SSD", Creation: []StorageType{StorageSSD}, CreationFallback: []StorageType{StorageDisk}, ReplicationFallback: []StorageType{StorageDisk}},
	{ID: 14, Name: "ALL_NVDIMM", Creation: []StorageType{StorageNVDIMM}, CreationFallback: []StorageType{StorageDisk}, ReplicationFallback: []StorageType{StorageDisk}},
	{ID: 15, Name: "LAZY_PERSIST", Creation: []StorageType{StorageRAMDisk, StorageDisk}, CreationFallback: []StorageType{StorageDisk}, ReplicationFallback: []StorageType{StorageDisk}, OnCreate: true},
}, parityPolicies()...)

// parityPolicies makes RAID5 and RAID5-k for every k but RAID5's. Their replicas go where those of HOT go.
func parityPolicies() []Policy {
	var list []Policy
	for k := MinParityData; k <= MaxParityData; k++ {
		name := "RAID5-" + strconv.Itoa(k)
		if k == DefaultParityData {
			name = "RAID5"
		}
		list = append(list, Policy{ID: uint8(parityPolicyBase + k), Name: name, Group: k,
			Creation: []StorageType{StorageDisk}, ReplicationFallback: []StorageType{StorageArchive}})
	}
	return list
}

// Parity is k, the blocks of one parity group; 0 means plain replication.
func (p Policy) Parity() int { return p.Group }

// ParityData is the k of the policy with an id, 0 for plain replication and unknown ids.
func ParityData(id uint8) int {
	if id < parityPolicyBase+MinParityData || id > parityPolicyBase+MaxParityData {
		return 0
	}
	return int(id - parityPolicyBase)
}

// ParityPolicy gives the policy whose groups have k blocks; false if k is out of range.
func ParityPolicy(k int) (Policy, bool) {
	if k < MinParityData || k > MaxParityData {
		return Policy{}, false
	}
	return PolicyByID(uint8(parityPolicyBase + k))
}

// PolicyByName finds a policy by its name, in any case as HDFS does. RAID5-4 is another
// name of RAID5.
func PolicyByName(name string) (Policy, bool) {
	if strings.EqualFold(name, "RAID5-"+strconv.Itoa(DefaultParityData)) {
		name = "RAID5"
	}
	for _, p := range Policies {
		if strings.EqualFold(p.Name, name) {
			return p, true
		}
	}
	return Policy{}, false
}

// PolicyByID finds a policy by its id.
func PolicyByID(id uint8) (Policy, bool) {
	for i := range Policies {
		if Policies[i].ID == id {
			return Policies[i], true
		}
	}
	return Policy{}, false
}

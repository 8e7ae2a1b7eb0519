package dfs

import "strings"

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
}

// PolicyUnspecified means "inherit from the parent directory". The root's is PolicyHot.
const (
	PolicyUnspecified uint8 = 0
	PolicyHot         uint8 = 7
)

// Policies lists HDFS's policies by rising id, as getStoragePolicies answers them.
// Ids 32 to 63 are kept for RAID5-k.
var Policies = []Policy{
	{ID: 1, Name: "PROVIDED", Creation: []StorageType{StorageProvided, StorageDisk}, CreationFallback: []StorageType{StorageProvided, StorageDisk}, ReplicationFallback: []StorageType{StorageProvided, StorageDisk}},
	{ID: 2, Name: "COLD", Creation: []StorageType{StorageArchive}},
	{ID: 5, Name: "WARM", Creation: []StorageType{StorageDisk, StorageArchive}, CreationFallback: []StorageType{StorageDisk, StorageArchive}, ReplicationFallback: []StorageType{StorageDisk, StorageArchive}},
	{ID: 7, Name: "HOT", Creation: []StorageType{StorageDisk}, ReplicationFallback: []StorageType{StorageArchive}},
	{ID: 10, Name: "ONE_SSD", Creation: []StorageType{StorageSSD, StorageDisk}, CreationFallback: []StorageType{StorageSSD, StorageDisk}, ReplicationFallback: []StorageType{StorageSSD, StorageDisk}},
	{ID: 12, Name: "ALL_SSD", Creation: []StorageType{StorageSSD}, CreationFallback: []StorageType{StorageDisk}, ReplicationFallback: []StorageType{StorageDisk}},
	{ID: 14, Name: "ALL_NVDIMM", Creation: []StorageType{StorageNVDIMM}, CreationFallback: []StorageType{StorageDisk}, ReplicationFallback: []StorageType{StorageDisk}},
	{ID: 15, Name: "LAZY_PERSIST", Creation: []StorageType{StorageRAMDisk, StorageDisk}, CreationFallback: []StorageType{StorageDisk}, ReplicationFallback: []StorageType{StorageDisk}},
}

// PolicyByName finds a policy by its name, in any case as HDFS does.
func PolicyByName(name string) (Policy, bool) {
	for _, p := range Policies {
		if strings.EqualFold(p.Name, name) {
			return p, true
		}
	}
	return Policy{}, false
}

// PolicyByID finds a policy by its id.
func PolicyByID(id uint8) (Policy, bool) {
	for _, p := range Policies {
		if p.ID == id {
			return p, true
		}
	}
	return Policy{}, false
}

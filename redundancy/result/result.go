// Package result holds what the comparison of redundancy has measured: plain values with
// JSON names that the live run fills in and the report draws. Rates are bytes per second,
// times are seconds, ratios are per byte of user data unless they say otherwise; a value
// that was not measured is zero or missing, which Measured flags tell apart where zero
// means something.
//
// Every scheme is measured in several rounds. Run keeps each round as it was, and Summarize
// makes the medians of them; Spread gives the range beside a median.
package result

import "time"

// Scheme names a way to keep data. The names are stable: they stand in files.
type Scheme string

// The schemes, from least to most.
const (
	None        Scheme = "none"          // one replica on one plain disk
	Two         Scheme = "replicas-2"    // two replicas
	Three       Scheme = "replicas-3"    // three replicas
	RAIDNode    Scheme = "raid5-node"    // RAID-5 in the node: one replica on an array of the node's disks
	RAIDCluster Scheme = "raid5-cluster" // RAID-5 across nodes: policy RAID5 on plain disks
	RAIDBoth    Scheme = "raid5-both"    // policy RAID5 on nodes whose disks are arrays
)

// Schemes lists all of them in the order of a report.
func Schemes() []Scheme { return []Scheme{None, Two, Three, RAIDNode, RAIDCluster, RAIDBoth} }

// The schemes that only the fleet model has: the system does not do them.
const (
	DoubleNode    Scheme = "raid6-node"    // RAID-6 in the node: 2k disks of data and two of parity, the space of RAID-5
	DoubleCluster Scheme = "raid6-cluster" // the same across nodes
	ReedSolomon   Scheme = "rs-6-3"        // HDFS's default policy of erasure coding, across nodes
)

// Modelled lists the schemes that only the fleet model has.
func Modelled() []Scheme { return []Scheme{DoubleNode, DoubleCluster, ReedSolomon} }

// Title is the scheme's name for people.
func (s Scheme) Title() string {
	switch s {
	case None:
		return "no redundancy"
	case Two:
		return "2 replicas"
	case Three:
		return "3 replicas"
	case RAIDNode:
		return "RAID-5 in the node"
	case RAIDCluster:
		return "RAID-5 across nodes"
	case RAIDBoth:
		return "RAID-5 in and across nodes"
	case DoubleNode:
		return "RAID-6 in the node"
	case DoubleCluster:
		return "RAID-6 across nodes"
	case ReedSolomon:
		return "RS(6,3) across nodes"
	}
	return string(s)
}

// Fault names something that goes wrong. The names are stable, too.
type Fault string

// The faults, in the order in which a run causes them.
const (
	SlowNode   Fault = "slow-node"  // a node whose disks and link have a tenth of their rate
	Corruption Fault = "corruption" // bytes that change on disk, with no error from it
	Disk       Fault = "disk"       // one disk stops answering
	Node       Fault = "node"       // one node is gone at once
	TwoNodes   Fault = "two-nodes"  // two nodes on different racks are gone at the same moment
	Rack       Fault = "rack"       // all nodes of one rack are gone at once
)

// Faults lists all of them in the order of a run.
func Faults() []Fault { return []Fault{SlowNode, Corruption, Disk, Node, TwoNodes, Rack} }

// Title is the fault's name for people.
func (f Fault) Title() string {
	switch f {
	case SlowNode:
		return "slow node"
	case Corruption:
		return "silent corruption"
	case Disk:
		return "disk lost"
	case Node:
		return "node lost"
	case TwoNodes:
		return "two nodes lost"
	case Rack:
		return "rack lost"
	}
	return string(f)
}

// Run is a whole comparison: the live part. The fleet model stands beside it in a report.
type Run struct {
	Begun   time.Time      `json:"begun"`
	Seconds float64        `json:"seconds"`
	Setup   Setup          `json:"setup"`
	Schemes []SchemeResult `json:"schemes"` // medians over the rounds
	Rounds  []Round        `json:"rounds"`
	Claims  []Claim        `json:"claims"`
	// Interrupted says what was being done when the run was broken off; "" if it was not. What
	// had not come to its end by then is not in the run.
	Interrupted string `json:"interrupted,omitempty"`
}

// Round is one repetition of everything, each scheme on a new cluster.
type Round struct {
	Schemes []SchemeResult `json:"schemes"`
}

// Scheme finds the result of a scheme; nil if it was not run.
func (r *Run) Scheme(s Scheme) *SchemeResult {
	for i := range r.Schemes {
		if r.Schemes[i].Scheme == s {
			return &r.Schemes[i]
		}
	}
	return nil
}

// Setup is what was emulated, the same for every scheme.
type Setup struct {
	Datanodes    int     `json:"datanodes"`
	Racks        int     `json:"racks"`
	DisksPerNode int     `json:"disksPerNode"`
	Clients      int     `json:"clients"`  // machines with a link of their own and one stream each
	DiskRate     float64 `json:"diskRate"` // bytes/s of one disk; 0: unlimited
	DiskLatency  float64 `json:"diskLatency"`
	LinkRate     float64 `json:"linkRate"` // bytes/s of one node in each direction; 0: unlimited
	LinkLatency  float64 `json:"linkLatency"`
	DataBytes    int64   `json:"dataBytes"` // user data of a scheme
	FileBytes    int64   `json:"fileBytes"`
	BlockBytes   int64   `json:"blockBytes"`
	Parity       int     `json:"parity"` // k: data blocks to a parity block across nodes, data disks to a parity disk in a node
	Seed         uint64  `json:"seed"`
	Repeat       int     `json:"repeat"` // how often everything is measured
	CPUs         int     `json:"cpus"`   // of the machine that emulated it
}

// SchemeResult is what one scheme has shown.
type SchemeResult struct {
	Scheme Scheme `json:"scheme"`
	Title  string `json:"title"`
	// Err is why the run of this scheme ended early; what was measured before stands.
	Err     string  `json:"err,omitempty"`
	Seconds float64 `json:"seconds"` // the whole run of the scheme

	Space  Space         `json:"space"`
	Write  Load          `json:"write"` // of all data, healthy; its bytes count everything until the data has its final form
	Read   Load          `json:"read"`  // of all data, healthy
	Array  *Array        `json:"array,omitempty"`
	Faults []FaultResult `json:"faults"`
	CPU    float64       `json:"cpu"` // highest share of the machine's CPUs that any load used: near 1 the machine was the limit
	// Repeats is how many rounds this is the median of; 0 in a single round.
	Repeats int `json:"repeats,omitempty"`
}

// Fault finds the result of a fault; nil if it was not caused.
func (s *SchemeResult) Fault(f Fault) *FaultResult {
	for i := range s.Faults {
		if s.Faults[i].Fault == f {
			return &s.Faults[i]
		}
	}
	return nil
}

// Space is what the data takes. Stored counts block files and parity on the disks, without checksum files.
type Space struct {
	UserBytes    int64   `json:"userBytes"`
	WrittenBytes int64   `json:"writtenBytes"` // on disks when the last file was closed
	StoredBytes  int64   `json:"storedBytes"`  // in its final form
	Ratio        float64 `json:"ratio"`        // StoredBytes / UserBytes
	FoldSeconds  float64 `json:"foldSeconds"`  // from the last close to the final form
}

// Load is a stretch of reading or writing by all clients at once.
type Load struct {
	Measured bool    `json:"measured"`
	Rate     float64 `json:"rate"` // bytes/s of user data, all clients together, while all of them had work
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"`
	// What the load cost, per user byte. Net is bytes that entered a datanode or a client.
	NetPerByte       float64 `json:"netPerByte"`
	DiskReadPerByte  float64 `json:"diskReadPerByte"`
	DiskWritePerByte float64 `json:"diskWritePerByte"`
	// CPUPerByte is seconds of processor time per user byte: of servers, clients and emulation,
	// which are one process.
	CPUPerByte float64 `json:"cpuPerByte"`
	// Of single operations of at most 256 KiB, in seconds: half of them took up to P50.
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
	// Busiest is the share of the time in which the busiest disk and link were in use.
	BusiestDisk float64 `json:"busiestDisk"`
	BusiestLink float64 `json:"busiestLink"`
	Failed      int     `json:"failed"` // operations on files that gave an error
	Strain      Strain  `json:"strain"`
}

// Strain is how busy the machine was that emulated disks and links while something was measured.
type Strain struct {
	CPU   float64 `json:"cpu"`   // share of all processors that this process used
	Late  float64 `json:"late"`  // share of the time that this process, ready to run, was kept waiting
	Stall float64 `json:"stall"` // seconds of its longest standstill
	// Busy: the machine was too busy for the emulation, so that the number beside it is the
	// machine's and not the scheme's. In a median: in every round.
	Busy bool `json:"busy"`
}

// Limits from which on a machine is too busy. Of the time that the process waits about as
// much is missing in a rate: at the limit some percent, which is what rounds differ by anyway.
const (
	MostCPU   = 0.85
	MostLate  = 0.05
	MostStall = 0.4
)

// Judge fills in Busy.
func (s Strain) Judge() Strain {
	s.Busy = s.CPU >= MostCPU || s.Late >= MostLate || s.Stall >= MostStall
	return s
}

// Array is the array of one node by itself: large reads and writes without network.
type Array struct {
	WriteRate float64 `json:"writeRate"` // bytes/s of data, full stripes
	ReadRate  float64 `json:"readRate"`
	Degraded  float64 `json:"degraded"` // reading with one disk gone
	SumRate   float64 `json:"sumRate"`  // the sum of its disks, parity included
	Strain    Strain  `json:"strain"`
}

// FaultResult is what a fault did to a scheme.
type FaultResult struct {
	Fault Fault  `json:"fault"`
	Title string `json:"title"`
	Note  string `json:"note,omitempty"` // what a reader should know, one sentence

	// Untested says why the fault has hit nothing, so that what was measured shows nothing
	// about the scheme; "" if it has hit data of the run.
	Untested string `json:"untested,omitempty"`
	// Victims are what was hit, and AtRisk the bytes of blocks and parity that stood there.
	Victims []string `json:"victims,omitempty"`
	AtRisk  int64    `json:"atRisk"`

	Read Load `json:"read"` // right after the fault, before repair or in its beginning
	// Write is writing while what was lost is away: before the repair in an array, after it
	// elsewhere.
	Write      Load `json:"write"`
	Rebuilding Load `json:"rebuilding"` // reading while it is repaired
	// Hedged is reading with hedged reads, for SlowNode.
	Hedged Load `json:"hedged"`

	Repair   Repair   `json:"repair"`
	Survived Survived `json:"survived"`
}

// Repair is the way back to full redundancy.
type Repair struct {
	Needed bool `json:"needed"` // the scheme had something to make again
	// Complete: everything had its full redundancy again before the lost part came back.
	// Without it, data stayed lost or in danger until then.
	Complete bool    `json:"complete"`
	Detect   float64 `json:"detect"`  // from the fault until it was noticed; a setting more than a merit
	Seconds  float64 `json:"seconds"` // from then to full redundancy
	// Rebuilt is bytes of blocks, or of a member disk, that were made again.
	Rebuilt      int64   `json:"rebuilt"`
	Rate         float64 `json:"rate"`     // Rebuilt / Seconds
	NetBytes     int64   `json:"netBytes"` // that entered datanodes for it
	DiskRead     int64   `json:"diskRead"`
	DiskWritten  int64   `json:"diskWritten"`
	MovedPerByte float64 `json:"movedPerByte"` // NetBytes + DiskRead, per byte rebuilt
	NetPerByte   float64 `json:"netPerByte"`   // NetBytes per byte rebuilt
	ReadPerByte  float64 `json:"readPerByte"`  // DiskRead per byte rebuilt
	BusiestDisk  float64 `json:"busiestDisk"`  // share of Seconds
	BusiestLink  float64 `json:"busiestLink"`
	// Limit is the rate that the emulated disks and links would allow with the work spread
	// as it was: Rebuilt over the busiest one's busy time.
	Limit float64 `json:"limit"`
	// CPUPerByte is seconds of processor time per byte rebuilt, of the whole process.
	CPUPerByte float64 `json:"cpuPerByte"`
	Strain     Strain  `json:"strain"`
}

// Survived is what could be read while the fault stood, each byte compared.
type Survived struct {
	Files      int   `json:"files"`
	LostFiles  int   `json:"lostFiles"`
	Bytes      int64 `json:"bytes"`
	LostBytes  int64 `json:"lostBytes"`  // of user data that could not be read
	WrongBytes int64 `json:"wrongBytes"` // read without an error, and not what was written: never
}

// Claim is a line of the project's goals, held against this run. Every run has all of them.
type Claim struct {
	Text string `json:"text"`
	// Missing says why there is no number: "not run", "not tested"; "" if there is one.
	Missing string  `json:"missing,omitempty"`
	Got     float64 `json:"got"`
	Want    float64 `json:"want"`
	Unit    string  `json:"unit"` // "x", "%", "MB/s"
	Most    bool    `json:"most"` // Want is an upper bound
	Met     bool    `json:"met"`
	Busy    bool    `json:"busy,omitempty"` // a number in it was measured while the machine was too busy
}

package blockmanager

import (
	"net/netip"
	"sync"
	"time"

	"redoubt/dfs"
)

// Manager is the block manager. Methods may be called at the same time; see the package
// comment for the lock that their caller holds.
type Manager struct {
	mu sync.RWMutex
}

// New makes an empty Manager in start-up mode: see SetStartup.
func New(cfg Config, src Source) (*Manager, error) { return &Manager{}, nil }

// Validate reports every fault of the configuration.
func (c Config) Validate() error { return nil }

// Register makes a datanode known or known again; its volumes owe a full report. Another
// datanode with the same address and port is replaced by it.
func (m *Manager) Register(now time.Time, r *Registration) {}

// Heartbeat keeps a datanode alive and brings back what it is to do. An unknown or dead
// datanode gives dfs.UnregisteredDatanode: it has to register.
func (m *Manager) Heartbeat(now time.Time, h *Heartbeat) ([]Command, error) { return nil, nil }

// BeginReport starts a part of a full report. Then Report takes its replicas, in as many
// calls as the caller likes, and EndReport closes the part. Datanodes send what concerns
// one volume, full and incremental reports, one after the other. An unknown datanode or
// volume gives dfs.UnregisteredDatanode.
func (m *Manager) BeginReport(p ReportPart) error { return nil }

// Report takes some replicas of a begun part; about 1000 at a time keep the lock short.
func (m *Manager) Report(now time.Time, p ReportPart, replicas []Replica) error { return nil }

// EndReport closes a part. It is true when all parts of the report have come: replicas
// that were known and not reported are then forgotten, by Tick in slices.
func (m *Manager) EndReport(now time.Time, p ReportPart) (bool, error) { return false, nil }

// Incremental takes what changed on a datanode.
func (m *Manager) Incremental(now time.Time, node string, events []Event) error { return nil }

// BadReplica marks the replica of b on a datanode's volume as damaged; storage "" means
// whichever volume holds it. Unknown blocks, nodes and replicas are ignored.
func (m *Manager) BadReplica(now time.Time, b dfs.Block, node, storage string) {}

// Allocated tells that a file got a new block whose writer was sent to targets.
func (m *Manager) Allocated(now time.Time, b dfs.Block, targets []Target) {}

// Reopened tells that a complete block is building again (append, truncate, lease
// recovery); b is as it was before. Its replicas are the expected ones until Pipeline.
func (m *Manager) Reopened(now time.Time, b dfs.Block) {}

// Pipeline tells the block's new stamp and length and where its writer goes on; it
// replaces the expected locations.
func (m *Manager) Pipeline(now time.Time, b dfs.Block, nodes []dfs.DatanodeID, storages []string) {}

// Completed tells that a block is complete as b. Replicas of another stamp or length are
// stale from now on.
func (m *Manager) Completed(now time.Time, b dfs.Block) {}

// Removed tells that no file holds these blocks any more: their replicas are removed.
func (m *Manager) Removed(now time.Time, blocks []dfs.Block) {}

// Changed tells that a block's replication or policy is another one now.
func (m *Manager) Changed(now time.Time, id dfs.BlockID) {}

// StartRecovery orders the recovery of a building block by one of its datanodes, another
// one each time. It is false when none that holds a replica is alive.
func (m *Manager) StartRecovery(now time.Time, r Recovery) bool { return false }

// Finalized counts the live datanodes with a finalized replica of exactly this stamp and
// length: enough of them make a block complete.
func (m *Manager) Finalized(b dfs.Block) int { return 0 }

// Expected gives where a building block's replicas are or should be.
func (m *Manager) Expected(id dfs.BlockID) []Target { return nil }

// Locate appends the places of a block's replicas that a reader can use, nearest first;
// corrupt is true when there are replicas, but all of them are damaged.
func (m *Manager) Locate(dst []dfs.ReplicaLoc, id dfs.BlockID, reader netip.Addr) (locs []dfs.ReplicaLoc, corrupt bool) {
	return dst, false
}

// Choose picks volumes for new replicas, in pipeline order. It returns as many as there
// are, at most Count.
func (m *Manager) Choose(r *PlaceRequest) []Target { return nil }

// SetAdmin asks for every datanode whether it is in service (AdminNormal), to be drained
// (AdminDecommissioning) or to be put into maintenance (AdminEnteringMaintenance). Those
// get to AdminDecommissioned and AdminInMaintenance by themselves.
func (m *Manager) SetAdmin(now time.Time, want func(dfs.DatanodeID) dfs.AdminState) {}

// SetStartup switches start-up mode, in which a new Manager is: nothing is repaired or
// removed, since blocks are still being reported. Leaving it looks at every block.
func (m *Manager) SetStartup(now time.Time, on bool) {}

// SetPaused holds back repair and removals, as safe mode by hand does; reports go on.
func (m *Manager) SetPaused(on bool) {}

// Tick does what is due at now: declares silent datanodes dead, hands out repair work,
// cleans up after dead volumes. True means that there is more to do at once: call again,
// with the locks released in between.
func (m *Manager) Tick(now time.Time) (more bool) { return false }

// Stats counts.
func (m *Manager) Stats(now time.Time) Stats { return Stats{} }

// Safe is BlockStats.Safe and the number of live datanodes, for safe mode; it is cheap.
func (m *Manager) Safe() (blocks int64, nodes int) { return 0, 0 }

// Nodes lists datanodes of a kind by address. The entries are shared and read-only.
func (m *Manager) Nodes(typ dfs.DatanodeReportType) []*dfs.DatanodeInfo { return nil }

// Node finds a datanode by UUID; nil if there is none.
func (m *Manager) Node(uuid string) *dfs.DatanodeInfo { return nil }

// StorageReports lists datanodes of a kind with their volumes.
func (m *Manager) StorageReports(typ dfs.DatanodeReportType) []dfs.DatanodeStorageReport { return nil }

// Missing lists, in order of id, up to max complete blocks above after that have no good
// replica.
func (m *Manager) Missing(after dfs.BlockID, max int) []dfs.BlockID { return nil }

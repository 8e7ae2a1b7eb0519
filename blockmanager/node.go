package blockmanager

import (
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"time"

	"redoubt/dfs"
)

// storage is a volume of a datanode.
type storage struct {
	num       slot // its number in slots
	node      *node
	report    dfs.StorageReport // as the datanode told it last
	gone      bool              // failed, or its node is dead: its replicas count for nothing
	blocks    int64             // slots that name it
	scheduled [2]int64          // blocks sent here and not seen yet: now, and before the last roll
	full      fullReport
}

// maxVolumes bounds the volumes of one datanode; what it tells beyond that is passed over.
const maxVolumes = 1024

// fullReport is how far a volume's full report has come.
type fullReport struct {
	id       uint64
	begun    bool     // some part has come, not all
	parts    int      // of this report
	seen     []uint64 // bit set of finished parts
	left     int      // parts to come
	epoch    slot     // slotEpoch or 0: what slots that it has seen carry
	old      int64    // slots with the other epoch
	sweeping bool     // it has ended: the old ones go
	complete bool     // one has ended since the datanode registered
}

// node is a datanode.
type node struct {
	id        dfs.DatanodeID
	addr      netip.Addr
	rack      *rack
	alive     bool
	admin     dfs.AdminState
	beat      time.Time
	xceivers  uint32
	storages  []*storage // without those that are gone
	failed    int        // volumes, as it says itself
	info      *dfs.DatanodeInfo
	transfers int       // copies that it makes, ordered or under way
	orders    []Command // to be fetched
	removals  ring[removal]
	ask       bool // for a full report
	strangers bool // it reported unknown blocks in start-up mode
	can       skills
	drain     drain
	livePos   int
	rackPos   int
	host      hosting
}

// skills are what datanodes differ in.
type skills struct {
	moves bool // it can bring a replica to another of its volumes
	plain bool // Hadoop's own: it knows no parity groups
}

// drain is how far a node's emptying has come.
type drain struct {
	pass  uint64 // first evaluation pass that counts for it
	short int64  // its blocks that lack replicas elsewhere, in this pass
}

// rack holds the live nodes of one place in the topology.
type rack struct {
	name  string
	nodes []*node
}

func (n *node) key() string { return addrKey(n.id) }

func addrKey(id dfs.DatanodeID) string { return id.IP + ":" + strconv.Itoa(int(id.XferPort)) }

func (n *node) storage(uuid string) *storage {
	for _, s := range n.storages {
		if s.report.UUID == uuid {
			return s
		}
	}
	return nil
}

// inService reports whether new replicas may go to a node.
func (n *node) inService() bool { return n.alive && n.admin == dfs.AdminNormal }

// groups reports whether blocks of parity groups may go to a node: whoever keeps one must
// answer scrubs, join chains, and may have to fold or rebuild.
func (n *node) groups() bool { return n.inService() && !n.can.plain }

func (n *node) draining() bool {
	return n.admin == dfs.AdminDecommissioning || n.admin == dfs.AdminDecommissioned
}

func (n *node) maintained() bool {
	return n.admin == dfs.AdminEnteringMaintenance || n.admin == dfs.AdminInMaintenance
}

func (m *Manager) stale(n *node, now time.Time) bool {
	return now.Sub(n.beat) > m.cfg.Liveness.Stale
}

// Register makes a datanode known or known again; its volumes owe a full report. Another
// datanode with the same address and port is replaced by it.
func (m *Manager) Register(now time.Time, r *Registration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	if old := m.byAddr[addrKey(r.Node)]; old != nil && old.id.UUID != r.Node.UUID {
		m.forget(now, old)
	}
	n := m.nodes[r.Node.UUID]
	if n == nil {
		n = &node{admin: dfs.AdminNormal}
		m.nodes[r.Node.UUID] = n
	} else {
		m.unname(n)
		m.cancelTransfers(n)
		m.cancelFolds(n)
		m.leaveRack(n)
	}
	n.id, n.can = r.Node, skills{moves: r.Moves, plain: r.Plain}
	n.addr, _ = netip.ParseAddr(r.Node.IP) // an invalid one is near nobody
	n.beat, n.strangers = now, false
	n.orders = nil
	m.byAddr[n.key()] = n
	m.byHost[n.addr] = append(m.byHost[n.addr], n)
	m.joinRack(n, r.Location)
	n.info = &dfs.DatanodeInfo{SoftwareVersion: r.SoftwareVersion, StartedUnixMilli: now.UnixMilli()}
	m.setStorages(now, n, r.Storages)
	for _, s := range n.storages {
		s.full.complete, s.full.begun = false, false
	}
	m.setAdmin(now, n, r.Admin)
	m.snapshot(n)
}

// unname takes a node out of the lists by address.
func (m *Manager) unname(n *node) {
	delete(m.byAddr, n.key())
	list := slices.DeleteFunc(m.byHost[n.addr], func(o *node) bool { return o == n })
	if m.byHost[n.addr] = list; len(list) == 0 {
		delete(m.byHost, n.addr)
	}
}

// joinRack makes a node a live one. A second rack changes what well-placed means.
func (m *Manager) joinRack(n *node, name string) {
	if name == "" {
		name = DefaultRack
	}
	r := m.racks[name]
	if r == nil {
		r = &rack{name: name}
		m.racks[name] = r
	}
	n.rack, n.rackPos = r, len(r.nodes)
	r.nodes = append(r.nodes, n)
	n.alive, n.livePos = true, len(m.live)
	m.live = append(m.live, n)
	if len(r.nodes) == 1 {
		m.liveRacks++
		if m.liveRacks == 2 || m.tally.Parities > 0 {
			m.evaluateAll()
		}
	}
}

func (m *Manager) leaveRack(n *node) {
	if !n.alive {
		return
	}
	n.alive = false
	last := m.live[len(m.live)-1]
	m.live[n.livePos], last.livePos = last, n.livePos
	m.live = m.live[:len(m.live)-1]
	r := n.rack
	last = r.nodes[len(r.nodes)-1]
	r.nodes[n.rackPos], last.rackPos = last, n.rackPos
	r.nodes = r.nodes[:len(r.nodes)-1]
	if len(r.nodes) == 0 {
		m.liveRacks--
		delete(m.racks, r.name)
	}
}

// setStorages takes over what a datanode says about its volumes. One that is not there any
// more, or has failed, loses its replicas.
func (m *Manager) setStorages(now time.Time, n *node, reports []dfs.StorageReport) {
	for _, s := range slices.Clone(n.storages) {
		i := slices.IndexFunc(reports, func(r dfs.StorageReport) bool { return r.UUID == s.report.UUID })
		if i < 0 || reports[i].Failed {
			m.lose(s)
		}
	}
	for _, r := range reports {
		if r.Failed || r.UUID == "" {
			continue
		}
		s := n.storage(r.UUID)
		if s == nil {
			if len(n.storages) >= maxVolumes {
				break
			}
			if s = m.newStorage(n); s == nil {
				continue
			}
		}
		s.report = r
	}
}

func (m *Manager) newStorage(n *node) *storage {
	s := &storage{node: n}
	if k := len(m.freeNums); k > 0 {
		s.num, m.freeNums = m.freeNums[k-1], m.freeNums[:k-1]
		m.storages[s.num-1] = s
	} else if len(m.storages) < maxStorages {
		m.storages = append(m.storages, s)
		s.num = slot(len(m.storages))
	} else {
		return nil
	}
	n.storages = append(n.storages, s)
	return s
}

func (m *Manager) at(s slot) *storage { return m.storages[s&slotStorage-1] }

// lose takes a volume out of service; Tick removes its replicas in slices.
func (m *Manager) lose(s *storage) {
	if s.gone {
		return
	}
	if s.full.sweeping {
		m.dirty--
	}
	s.gone, s.full = true, fullReport{epoch: s.full.epoch}
	m.future.forget(s)
	n := s.node
	n.storages = slices.DeleteFunc(n.storages, func(o *storage) bool { return o == s })
	m.dirty++
	m.cleaned(s)
}

// cleaned ends the sweeping of a volume when nothing is left to sweep.
func (m *Manager) cleaned(s *storage) {
	switch {
	case s.gone && s.blocks == 0:
		m.dirty--
		m.storages[s.num-1] = nil
		m.freeNums = append(m.freeNums, s.num)
	case s.full.sweeping && s.full.old == 0:
		s.full.sweeping = false
		m.dirty--
	}
}

// die declares a datanode dead. In maintenance that is no loss.
func (m *Manager) die(now time.Time, n *node) {
	m.leaveRack(n)
	m.cancelTransfers(n)
	m.cancelFolds(n)
	m.orphan(n)
	n.orders = nil
	if n.admin != dfs.AdminInMaintenance {
		for _, s := range slices.Clone(n.storages) {
			m.lose(s)
		}
		m.removals -= int64(n.removals.len())
		n.removals = ring[removal]{}
		if n.admin == dfs.AdminDecommissioning {
			n.admin = dfs.AdminDecommissioned
		}
	}
	m.dropTargets(n)
	m.snapshot(n)
}

// forget removes a datanode as if it had never been.
func (m *Manager) forget(now time.Time, n *node) {
	n.admin = dfs.AdminNormal
	m.die(now, n)
	delete(m.nodes, n.id.UUID)
	m.unname(n)
}

// Heartbeat keeps a datanode alive and brings back what it is to do. An unknown or dead
// datanode gives dfs.UnregisteredDatanode: it has to register.
func (m *Manager) Heartbeat(now time.Time, h *Heartbeat) ([]Command, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	n, err := m.liveNode(h.UUID)
	if err != nil {
		return nil, err
	}
	n.beat = now
	n.xceivers, n.failed = h.Xceivers, h.FailedVolumes
	m.setStorages(now, n, h.Storages)
	info := m.snapshot(n)
	info.CacheCapacity, info.CacheUsed = h.CacheCapacity, h.CacheUsed
	if h.Lifeline {
		return nil, nil
	}
	return m.orders(n), nil
}

func (m *Manager) liveNode(uuid string) (*node, error) {
	n := m.nodes[uuid]
	if n == nil || !n.alive {
		return nil, dfs.Errorf(dfs.UnregisteredDatanode, "datanode %s is not registered", uuid)
	}
	return n, nil
}

// snapshot renews the description that readers get, who keep it without a lock: the one
// they have never changes, and the new one is the caller's only as long as it holds mu.
func (m *Manager) snapshot(n *node) *dfs.DatanodeInfo {
	info := *n.info
	info.DatanodeID = n.id
	info.Location = n.rack.name
	info.Admin, info.Xceivers, info.FailedVolumes = n.admin, n.xceivers, n.failed
	info.LastUpdate, info.LastUpdateMono = n.beat.UnixMilli(), m.mono(n.beat)
	info.Capacity, info.Used, info.NonDFSUsed, info.Remaining, info.PoolUsed = 0, 0, 0, 0, 0
	var blocks int64
	for _, s := range n.storages {
		r := &s.report
		info.Capacity += r.Capacity
		info.Used += r.Used
		info.NonDFSUsed += r.NonDFS
		info.Remaining += r.Remaining
		info.PoolUsed += r.PoolUsed
		blocks += s.blocks
	}
	info.Blocks = uint32(min(blocks, 1<<32-1))
	n.info = &info
	return n.info
}

// mono is a time in ms since the Manager's first event.
func (m *Manager) mono(t time.Time) int64 { return t.Sub(m.epoch).Milliseconds() }

// SetAdmin asks for every datanode whether it is in service (AdminNormal), to be drained
// (AdminDecommissioning) or to be put into maintenance (AdminEnteringMaintenance). Those
// get to AdminDecommissioned and AdminInMaintenance by themselves.
func (m *Manager) SetAdmin(now time.Time, want func(dfs.DatanodeID) dfs.AdminState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	for _, n := range m.nodes {
		m.setAdmin(now, n, want(n.id))
		m.snapshot(n)
	}
}

func (m *Manager) setAdmin(now time.Time, n *node, want dfs.AdminState) {
	switch {
	case want == n.admin,
		want == dfs.AdminDecommissioning && n.admin == dfs.AdminDecommissioned,
		want == dfs.AdminEnteringMaintenance && n.admin == dfs.AdminInMaintenance:
		return
	}
	wasDown := n.admin == dfs.AdminInMaintenance && !n.alive
	n.admin = want
	if wasDown && n.rack != nil {
		m.die(now, n)
	}
	if !n.alive && want == dfs.AdminDecommissioning {
		n.admin = dfs.AdminDecommissioned
		return
	}
	n.drain.pass = m.pass + 1
	m.evaluateAll()
}

// Nodes lists datanodes of a kind by address. The entries are shared and read-only.
func (m *Manager) Nodes(typ dfs.DatanodeReportType) []*dfs.DatanodeInfo {
	m.mu.RLock()
	defer m.mu.RUnlock()
	nodes := m.pick(typ)
	list := make([]*dfs.DatanodeInfo, len(nodes))
	for i, n := range nodes {
		list[i] = n.info
	}
	return list
}

func (m *Manager) pick(typ dfs.DatanodeReportType) []*node {
	var list []*node
	for _, n := range m.nodes {
		ok := true
		switch typ {
		case dfs.ReportLive:
			ok = n.alive
		case dfs.ReportDead:
			ok = !n.alive
		case dfs.ReportDecommissioning:
			ok = n.alive && n.admin == dfs.AdminDecommissioning
		case dfs.ReportEnteringMaintenance:
			ok = n.alive && n.admin == dfs.AdminEnteringMaintenance
		case dfs.ReportInMaintenance:
			ok = n.admin == dfs.AdminInMaintenance
		}
		if ok {
			list = append(list, n)
		}
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if c := a.addr.Compare(b.addr); c != 0 {
			return c < 0
		}
		return a.id.XferPort < b.id.XferPort
	})
	return list
}

// Node finds a datanode by UUID; nil if there is none. The result is read-only.
func (m *Manager) Node(uuid string) *dfs.DatanodeInfo {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if n := m.nodes[uuid]; n != nil {
		return n.info
	}
	return nil
}

// StorageReports lists datanodes of a kind with their volumes.
func (m *Manager) StorageReports(typ dfs.DatanodeReportType) []dfs.DatanodeStorageReport {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var list []dfs.DatanodeStorageReport
	for _, n := range m.pick(typ) {
		r := dfs.DatanodeStorageReport{Node: *n.info}
		for _, s := range n.storages {
			r.Storages = append(r.Storages, s.report)
		}
		list = append(list, r)
	}
	return list
}

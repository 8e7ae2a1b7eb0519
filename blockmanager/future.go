package blockmanager

import "redoubt/dfs"

// future is what datanodes hold of another history: replicas whose id or generation stamp
// this one has never handed out. They are left of a log whose end is lost, or were written
// under a name node that went on from a copy of the directory. Nobody can tell here whether
// they are worth anything, so they are kept, counted and shown, and neither read nor removed.
type future struct {
	on    map[*storage]map[dfs.BlockID]dfs.Block
	count int64
	bytes int64
	// The highest ones ever reported; ids that are handed out must come to stand above.
	block dfs.BlockID
	stamp dfs.GenStamp
}

// fromFuture notes a replica of another history.
func (m *Manager) fromFuture(s *storage, b dfs.Block) {
	f := &m.future
	if f.on == nil {
		f.on = map[*storage]map[dfs.BlockID]dfs.Block{}
	}
	if f.on[s] == nil {
		f.on[s] = map[dfs.BlockID]dfs.Block{}
	}
	f.drop(s, b.ID)
	f.on[s][b.ID] = b
	f.count++
	f.bytes += max(0, b.Length)
	f.block, f.stamp = max(f.block, b.ID), max(f.stamp, b.GenStamp)
}

// drop forgets the replica of a block on a volume.
func (f *future) drop(s *storage, id dfs.BlockID) {
	if b, ok := f.on[s][id]; ok {
		delete(f.on[s], id)
		f.count--
		f.bytes -= max(0, b.Length)
	}
}

// forget drops all that a volume holds.
func (f *future) forget(s *storage) {
	for _, b := range f.on[s] {
		f.count--
		f.bytes -= max(0, b.Length)
	}
	delete(f.on, s)
}

// nodes are those that hold a replica of a block of another history: a copy must not take
// its place.
func (f *future) nodes(id dfs.BlockID) (list []*node) {
	if f.count == 0 {
		return nil
	}
	for s, blocks := range f.on {
		if _, ok := blocks[id]; ok {
			list = append(list, s.node)
		}
	}
	return list
}

// Future tells of the replicas of another history that were reported: how many there are,
// their bytes, and the highest id and stamp ever seen of one. It is cheap.
func (m *Manager) Future() (replicas, bytes int64, block dfs.BlockID, stamp dfs.GenStamp) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.future.count, m.future.bytes, m.future.block, m.future.stamp
}

// FutureBlocks lists at most limit replicas of another history with where they are, for a
// report.
func (m *Manager) FutureBlocks(limit int) (list []dfs.BadBlock) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for s, blocks := range m.future.on {
		for _, b := range blocks {
			if len(list) == limit {
				return list
			}
			list = append(list, dfs.BadBlock{Block: b, Nodes: []dfs.DatanodeID{s.node.id}, Storages: []string{s.report.UUID}})
		}
	}
	return list
}

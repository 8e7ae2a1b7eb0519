package namespace

import (
	"redoubt/dfs"

	"github.com/tidwall/btree"
)

// State is the whole hard state of a name service. Its zero value is not usable: New.
type State struct {
	inodes  pages[inode]
	blocks  pages[chained]
	writers pages[writer]
	leases  pages[lease]
	arena   arena
	indexes
	holders map[string]uint32 // lease slots
	dirs    dirTable
	strings interned
	retry   retryCache
	group   groupTable
	feature features
	epochs  epochs
	// detached holds the ids of the roots of deleted subtrees, smallest first.
	detached btree.Map[uint64, struct{}]
	opened   idSet // open files

	counters
	sum     sum
	applied dfs.TxID
	ops     *scratch
	seed    uint64
}

// indexes find slots by what clients and datanodes name.
type indexes struct {
	names   *nameTable
	byID    idTable // inodes
	byBlock idTable // blocks of files
}

// counters hand out ids; all are the next one to give.
type counters struct {
	nextInode uint64
	nextBlock uint64
	nextStamp uint64
	authEpoch uint64
	files     int64
	dirsCount int64
	folded    int64 // blocks that are inside inodes
}

// features are what few inodes have, by inode id. Values are replaced, never changed.
type features struct {
	quotas   btree.Map[uint64, Quota]
	types    btree.Map[uint64, TypeQuota]
	acls     btree.Map[uint64, []ACLEntry]
	xattrs   btree.Map[uint64, []XAttr]
	settings btree.Map[string, string]
}

// Options of a fresh namespace; the zero value works. They count at format time only and
// stand in the image afterwards.
type Options struct {
	Owner string   // of the root; "hdfs"
	Group string   // of the root; "supergroup"
	Mode  dfs.Mode // of the root; 0755
	Time  int64    // ms; the root's modification time
	// Seed places names and calls in the hash tables in memory, so that nobody can choose
	// ones that collide. It changes no result and no digest, and stays over a Restore.
	Seed uint64
}

const rootSlot = 1

// New makes the state of a fresh namespace: a root directory.
func New(opt Options) *State {
	s := &State{seed: opt.Seed}
	s.reset()
	if opt.Owner == "" {
		opt.Owner = "hdfs"
	}
	if opt.Group == "" {
		opt.Group = "supergroup"
	}
	if opt.Mode == 0 {
		opt.Mode = 0o755
	}
	s.nextInode = uint64(dfs.RootInodeID)
	s.nextBlock, s.nextStamp = uint64(dfs.FirstBlockID), uint64(dfs.FirstGenStamp)
	i := s.inodes.alloc()
	in := s.inodes.edit(i)
	s.fillInode(in, i, dfs.TypeDirectory, opt.Mode, s.strings.id(opt.Owner), s.strings.id(opt.Group), clampTime(opt.Time))
	s.makeDir(in)
	s.sum.add(s.place(in))
	s.sum.add(s.attrs(in))
	return s
}

// reset empties the state, also of the root.
func (s *State) reset() {
	*s = State{seed: s.seed, indexes: indexes{names: new(nameTable)}, holders: map[string]uint32{}, strings: newInterned(), epochs: firstEpoch(), ops: new(scratch)}
	s.retry.index, s.retry.seed = new(nameTable), s.seed
}

// fillInode sets what every new inode has and takes its id.
func (s *State) fillInode(in *inode, i uint32, typ dfs.FileType, mode dfs.Mode, owner, group uint32, time int64) {
	in.id = s.nextInode
	s.nextInode++
	in.mode = uint16(typ) << typeBit
	in.setPerm(mode)
	in.owner, in.group = owner, group
	s.strings.hold(owner)
	s.strings.hold(group)
	in.setMtime(time)
	s.byID.set(in.id, i)
}

// makeDir gives a new inode what a directory has.
func (s *State) makeDir(in *inode) {
	in.layout = 1
	in.setSlot(s.dirs.alloc())
	s.dirsCount++
}

// add makes an inode under a new name in a directory. The caller completes a file's
// fields and then counts its attributes into the digest.
func (s *State) add(dir uint32, name string, typ dfs.FileType, mode dfs.Mode, owner, group uint32, time int64) uint32 {
	i := s.inodes.alloc()
	in := s.inodes.edit(i)
	s.fillInode(in, i, typ, mode, owner, group, time)
	if typ == dfs.TypeDirectory {
		s.makeDir(in)
	} else {
		s.files++
	}
	s.attach(i, dir, name)
	s.touch(dir, time)
	return i
}

// attach puts an inode without a place into a directory under name.
func (s *State) attach(i, dir uint32, name string) {
	in := s.inodes.edit(i)
	in.name, in.length, in.parent = s.arena.put(name), uint16(len(name)), dir
	s.names.insert(hashName(s.seed, dir, name), i)
	d := s.inodes.edit(dir)
	if d.body.high++; d.count() == 1 && !s.likeParent(d) {
		s.authEpoch++
	}
	s.dirs.add(s, d.slot(), i)
	s.sum.add(s.place(in))
	ns, ds := s.usage(i)
	s.charge(dir, ns, ds)
	if ds != 0 && s.typed() {
		s.chargeTree(dir, i, 1)
	}
}

// detach takes an inode out of its directory; its name is gone.
func (s *State) detach(i uint32) {
	in := s.inodes.edit(i)
	s.sum.sub(s.place(in))
	ns, ds := s.usage(i)
	s.charge(in.parent, -ns, -ds)
	if ds != 0 && s.typed() {
		s.chargeTree(in.parent, i, -1)
	}
	d := s.inodes.edit(in.parent)
	s.dirs.remove(s, d.slot(), i)
	d.body.high--
	s.names.remove(hashName(s.seed, in.parent, s.nameOf(in)), i)
	s.arena.remove(in.name, in.nameLen())
	in.name, in.length, in.parent = 0, 0, 0
}

// touch moves a directory's modification time forward.
func (s *State) touch(dir uint32, time int64) {
	if d := s.inodes.at(dir); time > d.mtime() {
		d = s.inodes.edit(dir)
		s.sum.sub(s.attrs(d))
		d.setMtime(time)
		s.sum.add(s.attrs(d))
	}
}

// live gives the slot of an inode that can be reached from the root, 0 for none.
func (s *State) live(id dfs.InodeID) uint32 {
	i := s.byID.get(uint64(id))
	for p := i; p != 0; {
		in := s.inodes.at(p)
		if in.parent == 0 {
			if p == rootSlot {
				return i
			}
			return 0
		}
		p = in.parent
	}
	return 0
}

// authWord is what an authorisation rests on at one inode of a path.
func (s *State) authWord(in *inode) uint64 {
	h := mum(in.id^mixA, uint64(in.mode)^mixB) ^ mum(s.strings.hash[in.ownerID()]^mixC, s.strings.hash[in.groupID()]^mixD)
	if in.has(flagACL) {
		acl, _ := s.feature.acls.Get(in.id)
		h ^= aclHash(acl).lo
	}
	return mum(h, mixE)
}

// chainAuth is the sum of the words from the root down to an inode, never 0.
func (s *State) chainAuth(i uint32) uint64 {
	var h uint64
	for i != 0 {
		in := s.inodes.at(i)
		h += s.authWord(in)
		i = in.parent
	}
	return max(h, 1)
}

var errStale = &dfs.Error{Kind: dfs.Stale, Msg: "the namespace changed between check and apply"}

// premise finds the live inode that an op names and holds its authorisation against it.
func (s *State) premise(id dfs.InodeID, auth uint64) (uint32, error) {
	i := s.live(id)
	if i == 0 {
		return 0, errStale
	}
	if auth != 0 && s.chainAuth(i) != auth {
		return 0, errStale
	}
	return i, nil
}

// pathOf spells the path of an inode, "" for one that hangs below nothing.
func (s *State) pathOf(i uint32) string {
	if i == rootSlot {
		return "/"
	}
	var chain []uint32
	n := 0
	for p := i; p != rootSlot; p = s.inodes.at(p).parent {
		if p == 0 {
			return ""
		}
		chain = append(chain, p)
		n += 1 + s.inodes.at(p).nameLen()
	}
	b := make([]byte, 0, n)
	for k := len(chain) - 1; k >= 0; k-- {
		b = append(append(b, '/'), s.nameOf(s.inodes.at(chain[k]))...)
	}
	return string(b)
}

// join spells the path of names below a directory.
func (s *State) join(dir uint32, names ...string) string {
	p := s.pathOf(dir)
	if len(names) == 0 {
		return p
	}
	if p == "/" {
		p = ""
	}
	return p + dfs.Join(names...)
}

// Applied is the TxID of the last record applied, or of the image restored.
func (s *State) Applied() dfs.TxID { return s.applied }

// likeParent reports whether whoever may do something in a directory's parent may do it in
// the directory too.
func (s *State) likeParent(d *inode) bool {
	if d.parent == 0 {
		return true // no delete goes to the root
	}
	p := s.inodes.at(d.parent)
	return d.ownerID() == p.ownerID() && d.groupID() == p.groupID() && d.perm() == p.perm() && !d.has(flagACL) && !p.has(flagACL)
}

// AuthEpoch moves when what a subtree's delete was authorised against may have changed:
// when a directory is renamed, when its mode, owner, group or ACL changes, and when one
// that was empty, whose access nobody had to have, gets its first child. The last does
// not count where the directory has its parent's owner, group and mode, since then the
// answer is the parent's; so people who write in trees of their own never make each other's
// deletes try again. Delete of a subtree carries the epoch, since Auth covers only what is on the path.
func (s *State) AuthEpoch() uint64 { return s.authEpoch }

package array

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"
	"syscall"

	"redoubt/raid"
	"redoubt/vfs"
)

// Array is a file system over several directories of which any one may be lost. Its
// root is "/". Its methods may be called at the same time.
//
// What was written and not synced may be gone after the end of just the process, not
// only after a power cut.
type Array struct {
	cfg  Config
	id   ident
	geo  raid.Geometry
	rows int // stripes in a group
	// smallMax is up to how many bytes a new file stays in one piece in memory.
	smallMax int64
	pool     sync.Pool

	set       atomic.Pointer[[]*member] // by place
	unsettled atomic.Bool               // a member has failed that the superblocks do not know of
	stamp     atomic.Uint64             // of the last stripe written, see unitHeader
	repaired  atomic.Int64
	damaged   atomic.Int64
	ahead     atomic.Int64  // groups that readers have fetched ahead
	flying    chan struct{} // one for each group on its way to the members

	change sync.Mutex // held by who writes logs and superblocks; guards journal
	journal

	mu sync.Mutex // guards names
	names

	rebuild rebuilder
	eventMu sync.Mutex
}

// journal is where the log stands.
type journal struct {
	events          uint64
	gen, seq        uint64
	durable         uint64 // this many records are
	newLog          bool   // the log must begin anew before anything is added
	sinceCheckpoint int64
	checkpointSize  int64
	checkpointAfter int64
	batch           []byte
	ballast         bool // all members have it
	closing         bool
}

// names is what is known of files.
type names struct {
	tree     *tree
	pending  []byte // records that are in no log yet
	recorded uint64
	dead     []deadFile
	unsynced map[*node]bool // closed with changes that are not in the log
	locks    map[string]bool
	temp     uint64
	closed   bool
	spares   []*found
	named    int // files that were looked up to be told of
}

var errClosed = errors.New("array: closed")

func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func (a *Array) event(e Event) {
	if a.cfg.OnEvent == nil {
		return
	}
	a.eventMu.Lock()
	defer a.eventMu.Unlock()
	a.cfg.OnEvent(e)
}

// Close ends a rebuild (it goes on at the next Open), makes names and what was written
// durable and gives the directories free. Open files become useless.
func (a *Array) Close() error {
	a.rebuild.stop()
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	var open []*node
	for n := range a.unsynced {
		n.refs++
		open = append(open, n)
	}
	a.mu.Unlock()
	var errs []error
	for _, n := range open {
		errs = append(errs, a.sync(n, n.work))
		errs = append(errs, a.release(n, n.work))
	}
	a.change.Lock()
	a.closing = true
	a.change.Unlock()
	errs = append(errs, a.flush())
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.change.Lock()
	defer a.change.Unlock()
	a.closeMembers()
	return errors.Join(errs...)
}

func (a *Array) closeMembers() {
	for _, m := range a.members() {
		m.close()
	}
}

// Status describes the array.
func (a *Array) Status() Status {
	st := Status{ID: a.id.String(), Unit: a.geo.Unit, Lost: a.lost() != nil,
		Repaired: a.repaired.Load(), Damaged: a.damaged.Load(), Rebuild: a.rebuild.progress()}
	for _, m := range a.members() {
		st.Members = append(st.Members, MemberStatus{Place: m.place, Dir: m.dir, State: State(m.state.Load()), Err: m.cause()})
		st.Degraded = st.Degraded || !m.is(Active)
	}
	a.change.Lock()
	st.Events = a.events
	a.change.Unlock()
	if u, err := a.usage(); err == nil {
		st.Capacity, st.Free = u.Capacity, u.Free
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	st.Files = len(a.tree.files)
	for _, s := range a.spares {
		st.Spares = append(st.Spares, s.Dir)
	}
	return st
}

// usage is what fits: the smallest member decides, one member's worth is parity, and a
// share of each is kept for the log.
func (a *Array) usage() (vfs.Usage, error) {
	u := vfs.Usage{Capacity: math.MaxInt64, Free: math.MaxInt64}
	var last error = syscall.EIO
	for _, m := range a.members() {
		if !m.writable() {
			continue
		}
		x, err := m.fs.Usage(m.dir)
		if err != nil {
			last = err
			if err := a.fail(m, err); err != nil {
				return vfs.Usage{}, err
			}
			continue
		}
		u.Capacity, u.Free = min(u.Capacity, x.Capacity), min(u.Free, x.Free)
	}
	if u.Capacity == math.MaxInt64 {
		return vfs.Usage{}, last
	}
	reserve := min(u.Capacity/64, 64<<20)
	data := func(bytes int64) int64 {
		return max(0, bytes-reserve) / unitStride(a.geo.Unit) * a.geo.StripeBytes()
	}
	return vfs.Usage{Capacity: data(u.Capacity), Free: data(u.Free)}, nil
}

// Replace puts the directory next, missing or empty, in the place of the member old,
// which may have failed or not, and starts the rebuild; it returns when the new member
// takes part in writes and a restart would go on with the rebuild. A directory too small,
// not empty, nested in another member, or of another array is refused.
func (a *Array) Replace(old, next string) error { return a.ReplaceWith(old, Member{Dir: next}) }

// WaitRebuild waits until no rebuild is under way and tells how the last one ended.
func (a *Array) WaitRebuild(ctx context.Context) error { return a.rebuild.wait(ctx) }

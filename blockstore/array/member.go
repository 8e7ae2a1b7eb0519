package array

import (
	"errors"
	"fmt"
	"io"
	"path"
	"sync"
	"sync/atomic"
	"syscall"

	"redoubt/vfs"
)

const (
	lockFile  = "in_use.lock"
	objectDir = "o"
	// objectsPerDir is how many files' units share a directory.
	objectsPerDir = 1 << 12
)

// member is a directory in its place.
type member struct {
	place int
	id    ident
	dir   string
	fs    vfs.FS // nil: it is not here
	lock  io.Closer
	state atomic.Uint32 // a State
	first atomic.Uint64 // while Rebuilding, see seat
	done  atomic.Uint64
	// joining: it takes part in writes, and its superblock is on its way.
	joining atomic.Bool

	log    vfs.File // guarded by Array.change
	logEnd int64

	mu   sync.Mutex
	err  error           // why it failed
	made map[string]bool // object directories known to be there
}

func (m *member) is(s State) bool { return State(m.state.Load()) == s }

// writable says whether the member takes part in writes.
func (m *member) writable() bool { return !m.is(Failed) }

// holds says whether the member has all of a file that was written.
func (m *member) holds(id uint64) bool {
	switch State(m.state.Load()) {
	case Active:
		return true
	case Rebuilding:
		return id >= m.first.Load() || id <= m.done.Load()
	}
	return false
}

func (m *member) cause() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (m *member) seat() seat {
	return seat{id: m.id, dir: m.dir, state: State(m.state.Load()), first: m.first.Load(), done: m.done.Load()}
}

// unitDir is where a file's units are; unitPath the file of those at home or in slots.
func unitDir(dir string, id uint64) string {
	return fmt.Sprintf("%s/%s/%x", dir, objectDir, id/objectsPerDir)
}

func unitPath(dir string, id uint64, slots int) string {
	if slots == 1 {
		return fmt.Sprintf("%s/%x.s", unitDir(dir, id), id)
	}
	return fmt.Sprintf("%s/%x", unitDir(dir, id), id)
}

// makeDir makes the directory of a file's units.
func (m *member) makeDir(id uint64) error {
	dir := unitDir(m.dir, id)
	m.mu.Lock()
	there := m.made[dir]
	m.mu.Unlock()
	if there {
		return nil
	}
	// A disk that was pulled is not to be begun anew at the place where it was mounted.
	if !m.joining.Load() {
		if _, err := m.fs.Stat(path.Join(m.dir, superFile)); err != nil {
			return err
		}
	}
	if err := m.fs.MkdirAll(dir); err != nil {
		return err
	}
	m.mu.Lock()
	if m.made == nil {
		m.made = map[string]bool{}
	}
	m.made[dir] = true
	m.mu.Unlock()
	return nil
}

// probe finds out whether the member is still there.
func (m *member) probe() error {
	if m.joining.Load() {
		return nil // it has no superblock yet
	}
	b, err := vfs.ReadFile(m.fs, path.Join(m.dir, superFile), superLimit)
	if err != nil {
		return err
	}
	s, err := decodeSuper(b)
	if err != nil {
		return fmt.Errorf("array: %s: %w", m.dir, err)
	}
	if s.self != m.id {
		return fmt.Errorf("array: %s holds another member now", m.dir)
	}
	return nil
}

func (m *member) close() {
	if m.log != nil {
		_ = m.log.Close() // synced at every flush
		m.log = nil
	}
	if m.lock != nil {
		_ = m.lock.Close() // nothing was written to it
		m.lock = nil
	}
}

// isFull: the device has no room. That is nobody's failure.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// members gives the members by place.
func (a *Array) members() []*member { return *a.set.Load() }

// fail puts a member out of use, at once. What is written without it is acknowledged
// only after settle. A device without room is no reason; then err is returned as it is.
func (a *Array) fail(m *member, err error) error {
	if isFull(err) {
		return err
	}
	m.mu.Lock()
	was := State(m.state.Load())
	if was != Failed {
		m.err = err
		m.state.Store(uint32(Failed))
		a.unsettled.Store(true)
	}
	m.mu.Unlock()
	if was != Failed {
		a.event(Event{Kind: MemberFailed, Dir: m.dir, Err: err})
		a.rebuild.spareDue()
	}
	return nil
}

// lost says why nothing can be written: more than one member is not what it should be.
func (a *Array) lost() error {
	var first *member
	for _, m := range a.members() {
		if m.is(Active) {
			continue
		}
		if first != nil {
			err := errors.Join(first.cause(), m.cause())
			if err == nil {
				err = syscall.EIO
			}
			return fmt.Errorf("%w: %s and %s: %w", ErrLost, first.dir, m.dir, err)
		}
		first = m
	}
	return nil
}

// settle writes into the superblocks of the others which members have failed. change is
// held. Nothing may be acknowledged between the failure of a member and this.
func (a *Array) settle() error {
	for a.unsettled.Load() {
		a.unsettled.Store(false) // first: one that fails meanwhile sets it again
		if err := a.lost(); err != nil {
			a.unsettled.Store(true)
			return err
		}
		if err := a.publishSupers(a.events + 1); err != nil {
			a.unsettled.Store(true)
			return err
		}
	}
	return nil
}

// publishSupers writes the superblocks of all members that are in use. One that can't
// be written fails its member; see settle for what that leads to.
func (a *Array) publishSupers(events uint64) error {
	a.events = events
	set := a.members()
	table := a.table(set)
	for _, m := range set {
		if !m.writable() {
			continue
		}
		if err := writeSuper(m.fs, m.dir, a.superOf(m, table)); err != nil {
			if err := a.fail(m, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Array) table(set []*member) []seat {
	table := make([]seat, len(set))
	for i, m := range set {
		table[i] = m.seat()
	}
	return table
}

func (a *Array) superOf(m *member, table []seat) *super {
	return &super{array: a.id, self: m.id, place: m.place, unit: a.geo.Unit, events: a.events, table: table}
}

// each does something on all members that take part in writes, at the same time. An
// error fails the member, but for a full device, which is the result.
func (a *Array) each(do func(m *member) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var full error
	for _, m := range a.members() {
		if !m.writable() {
			continue
		}
		wg.Go(func() {
			if err := do(m); err != nil {
				if err := a.fail(m, err); err != nil {
					mu.Lock()
					full = err
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return full
}

package redundancy

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"redoubt/redundancy/result"
	"redoubt/wire/control"
)

// spot is a byte that was changed behind the datanode's back.
type spot struct {
	m    *machine
	name string
	size int64 // of the file
	off  int64
	was  byte
}

// corruption inverts bytes on one disk and has them found: by readers, and by a scrub.
func (l *lab) corruption(ctx context.Context, r *result.FaultResult) error {
	h, err := l.holding(ctx, l.all())
	if err != nil {
		return err
	}
	m, place, err := l.fullest(h)
	if err != nil {
		return err
	}
	if m == nil {
		r.Untested = "no disk holds data of the run"
		return nil
	}
	spots, err := l.spoil(m, m.bays[place], h, 8)
	if err != nil {
		return err
	}
	r.Victims = []string{m.diskName(place)}
	for _, s := range spots {
		r.AtRisk += s.size
	}
	if len(spots) == 0 {
		r.Untested = "there was no byte to spoil"
		return nil
	}
	l.step("reading with spoiled blocks")
	if r.Read, r.Survived, err = l.readFiles(ctx, l.all(), reading{}); err != nil {
		return err
	}
	l.step("scrubbing")
	begun, before := time.Now(), l.meter()
	if arrays(l.scheme) {
		if err := l.verify(ctx, m); err != nil {
			return err
		}
	}
	m.scrub = true
	err = l.restart(ctx, m)
	m.scrub = false
	if err != nil {
		return err
	}
	left := 0
	// Scrubs tell nobody when they end: the places themselves show it.
	err = l.wait(ctx, "spoiled places to be made good", func() (bool, string) {
		left, err = l.bad(spots)
		return err != nil || left == 0 || replicas(l.scheme) == 1 && !arrays(l.scheme), fmt.Sprintf("%d are left", left)
	})
	var late *unsettledError
	if err != nil && !errors.As(err, &late) {
		return err
	}
	r.Repair.Needed, r.Repair.Complete = true, left == 0
	r.Repair.Strain = l.meter().since(before, l.cfg.Setup.CPUs).strain
	if left == 0 {
		r.Repair.Seconds = time.Since(begun).Seconds()
	}
	r.Note = fmt.Sprintf("%d of %d spoiled places made good by readers and a scrub", len(spots)-left, len(spots))
	return nil
}

// bad counts the places that still hold a wrong byte.
func (l *lab) bad(spots []spot) (n int, err error) {
	for _, s := range spots {
		got, err := l.byteAt(s)
		if gone(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if got != s.was {
			n++
		}
	}
	return n, nil
}

func (l *lab) byteAt(s spot) (byte, error) {
	f, err := l.cfg.FS.Open(s.name)
	if err != nil {
		return 0, fmt.Errorf("redundancy: %w", err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], s.off); err != nil {
		return 0, fmt.Errorf("redundancy: %w", err)
	}
	return b[0], nil
}

// verify has a node's array read and compared.
func (l *lab) verify(ctx context.Context, m *machine) error {
	a := l.admin(m.index)
	defer a.Close()
	if _, err := a.ArrayVerify(ctx, &control.ArrayVerifyRequest{}); err != nil {
		return fmt.Errorf("redundancy: %w", err)
	}
	return nil
}

// fullest finds the disk with most of the users' data on it, so that there are several blocks
// to spoil: on one of many small disks there is one or none. In arrays it is the one with most
// of its array's data, of a node that has some.
func (l *lab) fullest(h holding) (at *machine, place int, err error) {
	most := int64(0)
	for _, m := range l.nodes {
		for i, b := range m.bays {
			n := h.disk[b]
			if arrays(l.scheme) && h.node[m] > 0 {
				if n, err = l.stored(b); err != nil {
					return nil, 0, err
				}
			}
			if n > most {
				at, place, most = m, i, n
			}
		}
	}
	return at, place, nil
}

// spoil inverts up to n bytes on one disk, each in another file: in those of users' blocks
// first, then in parity.
func (l *lab) spoil(m *machine, b *bay, h holding, n int) ([]spot, error) {
	rng := l.lots(result.Corruption)
	var all []spot
	err := walk(l.cfg.FS, b.dir, func(name string, size int64) {
		if l.keeps(name) && size > 0 {
			all = append(all, spot{m: m, name: name, size: size, off: rng.Int64N(size)})
		}
	})
	if err != nil {
		return nil, err
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.SortStableFunc(all, func(x, y spot) int {
		return b2i(h.file[b][path.Base(y.name)]) - b2i(h.file[b][path.Base(x.name)])
	})
	all = all[:min(n, len(all))]
	for i := range all {
		if err := l.invert(&all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// invert changes a byte.
func (l *lab) invert(s *spot) (err error) {
	if s.was, err = l.byteAt(*s); err != nil {
		return err
	}
	f, err := l.cfg.FS.OpenWrite(s.name)
	if err != nil {
		return fmt.Errorf("redundancy: %w", err)
	}
	_, err = f.WriteAt([]byte{^s.was}, s.off)
	return errors.Join(err, f.Close())
}

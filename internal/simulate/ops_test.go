package simulate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"redoubt/client"
	"redoubt/dfs"
)

// What a script does. Each operation tells the oracle before and after; one that fails
// leaves its paths in doubt, and later operations leave those alone.

// bytesOf draws n bytes that occur nowhere else.
func (s *session) bytesOf(n int) []byte {
	var key [32]byte
	for i := range key {
		key[i] = byte(s.rng.Uint32())
	}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

func (s *session) refuse(what string, err error) bool {
	s.o.Refuse(what, err)
	return false
}

// must is for setups.
func (s *session) must(err error) {
	if err != nil {
		s.fail(fmt.Errorf("setup: %w", err))
	}
}

// feed writes data to w in pieces, the ends of which are flushed or synced in turn.
func (s *session) feed(w *client.Writer, path string, before, data []byte, pieces int) error {
	whole := append(slices.Clone(before), data...)
	cuts, synced := s.o.Cuts(), len(before)
	for i := range pieces {
		from, to := len(data)*i/pieces, len(data)*(i+1)/pieces
		if _, err := w.Write(data[from:to]); err != nil {
			return err
		}
		if i == pieces-1 {
			break
		}
		var err error
		if i%2 == 0 {
			err = w.Flush()
		} else {
			err = w.Sync(true)
			synced = len(before) + to
		}
		if err != nil {
			return err
		}
		s.o.Flushed(path, Outcome{Data: whole, Min: len(before) + to, Synced: synced}, cuts)
	}
	if err := w.Close(); err != nil {
		return err
	}
	s.o.Ack(path, Exactly(whole))
	return nil
}

// write makes a file of n bytes in pieces.
func (s *session) write(path string, n, pieces int, opt client.CreateOptions) bool {
	if !s.o.Free(path) {
		return false
	}
	data := s.bytesOf(n)
	s.o.Begin(path, Outcome{Data: data})
	w, err := s.cl.Create(s.ctx, path, opt)
	if err != nil {
		return s.refuse("create", err)
	}
	if err := s.feed(w, path, nil, data, pieces); err != nil {
		_ = w.Abort() // it is refused already
		return s.refuse("write", err)
	}
	return true
}

// appendTo adds n bytes in pieces.
func (s *session) appendTo(path string, n, pieces int) bool {
	before, ok := s.o.Certain(path)
	if !ok {
		return false
	}
	data := s.bytesOf(n)
	s.o.Begin(path, Outcome{Data: append(slices.Clone(before), data...), Min: len(before), Synced: len(before)})
	w, err := s.cl.Append(s.ctx, path, client.AppendOptions{})
	if err != nil {
		return s.refuse("append", err)
	}
	if err := s.feed(w, path, before, data, pieces); err != nil {
		_ = w.Abort() // it is refused already
		return s.refuse("append", err)
	}
	return true
}

// truncate cuts a file and waits until that is done.
func (s *session) truncate(path string, n int) bool {
	before, ok := s.o.Certain(path)
	if !ok {
		return false
	}
	s.o.Begin(path, Exactly(before[:n]))
	done, err := s.cl.Truncate(s.ctx, path, int64(n))
	for i := 0; err == nil && !done; i++ {
		if i == 600 {
			err = errors.New("the file stays open")
			break
		}
		s.sleep(time.Second)
		done, err = s.cl.IsFileClosed(s.ctx, path)
	}
	if err != nil {
		return s.refuse("truncate", err)
	}
	s.o.Ack(path, Exactly(before[:n]))
	return true
}

func (s *session) remove(path string) bool {
	if _, ok := s.o.Certain(path); !ok {
		return false
	}
	s.o.Begin(path, Absent)
	done, err := s.cl.Delete(s.ctx, path, false)
	if err == nil && !done {
		err = errors.New("nothing was there")
	}
	if err != nil {
		return s.refuse("delete", err)
	}
	s.o.Ack(path, Absent)
	return true
}

func (s *session) rename(src, dst string) bool {
	data, ok := s.o.Certain(src)
	if !ok || !s.o.Free(dst) {
		return false
	}
	s.o.Begin(src, Absent)
	s.o.Begin(dst, Exactly(data))
	if err := s.cl.Rename2(s.ctx, src, dst, dfs.RenameOptions{}); err != nil {
		s.o.Pair(src, dst)
		return s.refuse("rename", err)
	}
	s.o.Ack(src, Absent)
	s.o.Ack(dst, Exactly(data))
	return true
}

// check reads a path now.
func (s *session) check(path string) {
	v := s.o.Version(path)
	data, err := read(s.ctx, s.cl, path)
	if err != nil {
		s.refuse("read", err)
	} else if err := s.o.Judge(path, v, data); err != nil {
		s.fail(fmt.Errorf("in the script: %w", err))
	}
}

// call is an operation that changes no file.
func (s *session) call(what string, err error) bool {
	if err != nil {
		return s.refuse(what, err)
	}
	return true
}

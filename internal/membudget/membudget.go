// Package membudget bounds the memory that the requests of all connections take together
// while they arrive. Who wants more than is left is refused at once and not made to wait:
// those who wait for each other with half a request each would wait for ever.
package membudget

import (
	"errors"
	"sync/atomic"
)

// ErrSpent says that others have taken all that there is.
var ErrSpent = errors.New("too much memory is taken by requests that are being received: try again later")

// Budget is a number of bytes that may be taken. A nil Budget has no limit. Its methods
// may be called at the same time.
type Budget struct {
	max  int64
	used atomic.Int64
}

// New makes a budget of max bytes.
func New(max int64) *Budget { return &Budget{max: max} }

// Take takes n bytes, or none and gives ErrSpent.
func (b *Budget) Take(n int) error {
	if b == nil || n <= 0 {
		return nil
	}
	if b.used.Add(int64(n)) > b.max {
		b.used.Add(-int64(n))
		return ErrSpent
	}
	return nil
}

// Force takes n bytes that are needed already, so that others find less.
func (b *Budget) Force(n int) {
	if b != nil {
		b.used.Add(int64(n))
	}
}

// Give gives n bytes back.
func (b *Budget) Give(n int) {
	if b != nil {
		b.used.Add(-int64(n))
	}
}

// Used is how many bytes are taken now.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

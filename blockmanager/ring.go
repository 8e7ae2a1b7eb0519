package blockmanager

// ring is a first-in first-out queue that gives its memory back when it has shrunk.
type ring[T any] struct {
	buf  []T
	head int
	n    int
}

func (r *ring[T]) len() int { return r.n }

func (r *ring[T]) push(v T) {
	if r.n == len(r.buf) {
		r.resize(max(16, 2*r.n))
	}
	i := r.head + r.n
	if i >= len(r.buf) {
		i -= len(r.buf)
	}
	r.buf[i] = v
	r.n++
}

// pop takes the oldest; the ring is not empty.
func (r *ring[T]) pop() T {
	var zero T
	v := r.buf[r.head]
	r.buf[r.head] = zero
	if r.head++; r.head == len(r.buf) {
		r.head = 0
	}
	if r.n--; len(r.buf) > 1024 && r.n < len(r.buf)/4 {
		r.resize(len(r.buf) / 2)
	}
	return v
}

func (r *ring[T]) peek() T { return r.buf[r.head] }

// at is the entry that i others stand before.
func (r *ring[T]) at(i int) T {
	if i += r.head; i >= len(r.buf) {
		i -= len(r.buf)
	}
	return r.buf[i]
}

func (r *ring[T]) resize(size int) {
	buf := make([]T, size)
	n := copy(buf, r.buf[r.head:min(len(r.buf), r.head+r.n)])
	copy(buf[n:], r.buf[:r.n-n])
	r.buf, r.head = buf, 0
}

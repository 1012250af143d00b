package link

import (
	"io"
	"sync"

	"github.com/skein-im/skein/internal/evloop"
)

// Sizes of read buffers: small is what every connection has, big what it
// borrows while it is busy.
const (
	smallBuffer = 512
	bigBuffer   = 32 << 10
)

// buffer holds bytes that were read and not yet used: data[r:w].
type buffer struct {
	small, data []byte
	r, w        int
	// last is what the last read brought; full: it filled the buffer.
	last int
	full bool
	// pool lends big buffers; nil makes them. budget counts those that are
	// not small.
	pool   *sync.Pool
	budget *evloop.Budget
}

func newBuffer(pool *sync.Pool) buffer {
	small := make([]byte, smallBuffer)
	return buffer{small: small, data: small, pool: pool}
}

func (b *buffer) unread() []byte { return b.data[b.r:b.w] }

// read waits until something was read. need is how many bytes from r on the
// next use takes at least; what was handed out before is overwritten.
func (b *buffer) read(src io.Reader, need int) error {
	if err := b.makeRoom(need); err != nil {
		return err
	}
	for {
		n, err := src.Read(b.data[b.w:])
		if n > 0 {
			b.w += n
			b.last, b.full = n, b.w == len(b.data)
			// Whatever the error is, it comes again.
			return nil
		}
		// A pipe hands over empty writes too.
		if err != nil {
			return err
		}
	}
}

// makeRoom moves or enlarges the buffer so that something can be read. Past
// the big size it grows with what has arrived, not with what was announced.
func (b *buffer) makeRoom(need int) error {
	if b.r == b.w {
		b.r, b.w = 0, 0
		if b.last < smallBuffer/2 && len(b.data) > b.keep() {
			b.release()
		}
	}
	if b.full && len(b.data) < bigBuffer && b.budget.Room(evloop.Spare, bigBuffer) {
		// There is probably more where that came from.
		b.enlarge(need)
	}
	b.full = false
	if b.r > 0 && b.r+need > len(b.data) {
		b.w = copy(b.data, b.unread())
		b.r = 0
	}
	if b.w < len(b.data) && (!b.isSmall() || need <= len(b.data)) {
		return nil
	}
	if !b.budget.Room(0, need) {
		return evloop.ErrNoRoom
	}
	b.enlarge(need)
	return nil
}

// put stores bytes that were read elsewhere, before the first read.
func (b *buffer) put(p []byte) {
	if len(p) > len(b.data) {
		b.move(make([]byte, len(p)))
	}
	b.w = copy(b.data, p)
}

func (b *buffer) isSmall() bool { return len(b.data) == smallBuffer }

// keep is the size worth keeping when little arrives: giving back costs
// nothing with a pool and an allocation later without.
func (b *buffer) keep() int {
	if b.pool != nil {
		return smallBuffer
	}
	return bigBuffer
}

func (b *buffer) enlarge(need int) {
	switch {
	case len(b.data) >= bigBuffer:
		b.move(make([]byte, min(need, 2*len(b.data))))
	case b.pool == nil:
		b.move(make([]byte, 2*len(b.data)))
	default:
		b.borrow()
	}
}

func (b *buffer) borrow() {
	if p, ok := b.pool.Get().(*[bigBuffer]byte); ok {
		b.move(p[:])
		return
	}
	b.move(make([]byte, bigBuffer))
}

// move continues in another array.
func (b *buffer) move(data []byte) {
	n := copy(data, b.unread())
	b.giveBack()
	b.data, b.r, b.w = data, 0, n
	if !b.isSmall() {
		b.budget.Add(len(data))
	}
}

// release goes back to the small array, which must be enough.
func (b *buffer) release() { b.move(b.small) }

func (b *buffer) giveBack() {
	if !b.isSmall() {
		b.budget.Add(-len(b.data))
	}
	if b.pool != nil && len(b.data) == bigBuffer {
		b.pool.Put((*[bigBuffer]byte)(b.data))
	}
}

// close gives back what is lent.
func (b *buffer) close() {
	b.giveBack()
	b.data, b.small, b.r, b.w = nil, nil, 0, 0
}

//go:build linux

package evloop

import "math/bits"

// Buffers come in powers of two from 512 bytes to 64 KiB. Larger ones are
// made when needed and left to the garbage collector.
const (
	minBufferBits = 9
	maxBufferBits = 16
	// keepBytes is how much a loop keeps of each size for later.
	keepBytes = 128 << 10
)

// buffers lends the buffers of one loop. An idle connection has none.
type buffers struct {
	// budget counts what is lent.
	budget *Budget
	free   [maxBufferBits - minBufferBits + 1][][]byte
	busy   []*busy
}

// get lends an empty buffer with room for at least n bytes, n > 0.
func (p *buffers) get(n int) []byte {
	class := max(bits.Len(uint(n-1)), minBufferBits)
	p.budget.Add(1 << class)
	if class > maxBufferBits {
		return make([]byte, 0, 1<<class)
	}
	free := &p.free[class-minBufferBits]
	if k := len(*free); k > 0 {
		b := (*free)[k-1]
		*free = (*free)[:k-1]
		return b
	}
	return make([]byte, 0, 1<<class)
}

// put takes a buffer back.
func (p *buffers) put(b []byte) {
	p.budget.Add(-cap(b))
	class := bits.Len(uint(cap(b))) - 1
	if class > maxBufferBits {
		return
	}
	free := &p.free[class-minBufferBits]
	if len(*free) < keepBytes>>class {
		*free = append(*free, b[:0])
	}
}

// grow returns a buffer that has the bytes of b and room for n more.
func (p *buffers) grow(b []byte, n int) []byte {
	if len(b)+n <= cap(b) {
		return b
	}
	larger := append(p.get(len(b)+n), b...)
	p.put(b)
	return larger
}

// busy is what a connection has only while something of it waits.
type busy struct {
	// in is what the handler has left over.
	in []byte
	// out[off:] is what is still to be written.
	out []byte
	off int
	// stallBy is by when the peer must have taken pace bytes, 0 if it
	// need not.
	stallBy uint32
	pace    int
	// cause is why the connection is closing.
	cause error
}

// keepBusy is how many busy structs a loop keeps for later.
const keepBusy = 256

func (p *buffers) getBusy() *busy {
	if k := len(p.busy); k > 0 {
		b := p.busy[k-1]
		p.busy = p.busy[:k-1]
		return b
	}
	return new(busy)
}

func (p *buffers) putBusy(b *busy) {
	p.dropIn(b)
	p.dropOut(b)
	*b = busy{}
	if len(p.busy) < keepBusy {
		p.busy = append(p.busy, b)
	}
}

func (p *buffers) dropIn(b *busy) {
	if b.in != nil {
		p.put(b.in)
		b.in = nil
	}
}

func (p *buffers) dropOut(b *busy) {
	if b.out != nil {
		p.put(b.out)
		b.out, b.off = nil, 0
	}
}

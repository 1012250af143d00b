package wire

import (
	"errors"
	"io"
	"net"
	"time"
)

// smallest is the least that a Reader's buffer has.
const smallest = 512

// Reader cuts what comes from a source into frames. It is for one goroutine.
//
// Its buffer is of the size it was made with, and holds many frames or a part
// of one. For a longer frame it grows with what has arrived, not with what was
// announced: to twice what is there at the most. It shrinks as soon as all that
// was read has been used.
type Reader struct {
	src io.Reader
	buf []byte
	// Bytes that were read and not yet used are buf[r:w].
	r, w int
	// need is how many bytes from r on the next frame has, as far as known.
	need int
	size int
}

// NewReader makes a Reader with a buffer of so many bytes.
func NewReader(src io.Reader, size int) Reader {
	size = max(size, smallest)
	return Reader{src: src, buf: make([]byte, size), size: size}
}

// Reset makes the Reader go on with another source and another size of its
// buffer. What was read and not used stays.
func (b *Reader) Reset(src io.Reader, size int) {
	b.src, b.size = src, max(size, smallest)
	b.move(max(b.size, b.Buffered()))
}

// Buffered is how many bytes were read and not yet used.
func (b *Reader) Buffered() int { return b.w - b.r }

// Frame returns the next frame, and reads until it is there. The payload is
// valid until the next call. A source that ends within a frame is
// io.ErrUnexpectedEOF, and a payload of more than limit bytes is TooLarge.
func (b *Reader) Frame(limit int) (t Type, payload []byte, err error) {
	for {
		t, payload, ok, err := b.Next(limit)
		if ok || err != nil {
			return t, payload, err
		}
		if _, err = b.Fill(); err == nil {
			continue
		}
		if errors.Is(err, io.EOF) && b.Buffered() > 0 {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
}

// Next returns the next frame that has been read; ok is false while bytes are
// missing. The payload is valid until Fill. Errors are those of ParseHeader.
func (b *Reader) Next(limit int) (t Type, payload []byte, ok bool, err error) {
	unread := b.buf[b.r:b.w]
	t, header, size, err := ParseHeader(unread, limit)
	if err != nil || header == 0 {
		b.need = len(unread) + 1
		return 0, nil, false, err
	}
	b.need = header + size
	if len(unread) < b.need {
		return 0, nil, false, nil
	}
	b.r += b.need
	return t, unread[header:b.need:b.need], true, nil
}

// Fill reads more, once, and says how much. It is for when Next has nothing.
func (b *Reader) Fill() (int, error) {
	if b.r == b.w {
		b.r, b.w = 0, 0
		if len(b.buf) > b.size {
			b.buf = make([]byte, b.size)
		}
	}
	switch {
	case b.r > 0 && (b.w == len(b.buf) || b.r+b.need > len(b.buf)):
		b.w = copy(b.buf, b.buf[b.r:b.w])
		b.r = 0
	case b.w == len(b.buf):
		b.move(min(2*len(b.buf), max(b.need, len(b.buf)+smallest)))
	}
	n, err := b.src.Read(b.buf[b.w:])
	b.w += n
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// move goes on in a new buffer.
func (b *Reader) move(size int) {
	to := make([]byte, size)
	b.w = copy(to, b.buf[b.r:b.w])
	b.buf, b.r = to, 0
}

// writeStep is the most that one write takes, so that its deadline means a pace
// and not a size.
const writeStep = 256 << 10

// Paced is a connection whose other end may pause for so long: every read and
// every step of a write has Pause to make progress. One goroutine may read and
// another write.
type Paced struct {
	net.Conn
	Pause time.Duration
}

func (p Paced) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(p.Pause)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p Paced) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		if err = p.SetWriteDeadline(time.Now().Add(p.Pause)); err != nil {
			break
		}
		var step int
		step, err = p.Conn.Write(b[n:min(n+writeStep, len(b))])
		n += step
	}
	return n, err
}

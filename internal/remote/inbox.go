package remote

import (
	"net"

	"github.com/skein-im/skein/internal/wire"
)

const (
	// smallInbox is the buffer of a connection in its handshake, usualInbox
	// that of a link.
	smallInbox = 1 << 10
	usualInbox = 64 << 10
)

// inbox cuts what was read into frames. Bytes that were read and not yet used
// are buf[r:w].
type inbox struct {
	nc   net.Conn
	buf  []byte
	r, w int
	// need is how many bytes from r on the next frame has, as far as known.
	need int
}

func newInbox(nc net.Conn) inbox { return inbox{nc: nc, buf: make([]byte, smallInbox)} }

// next returns the next frame that has been read; ok is false while bytes are
// missing. The payload is valid until fill.
func (b *inbox) next(limit int) (t wire.Type, payload []byte, ok bool, err error) {
	unread := b.buf[b.r:b.w]
	t, header, size, err := wire.ParseHeader(unread, limit)
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

// fill reads more. The buffer grows with what has arrived, not with what was
// announced, and shrinks when all was used.
func (b *inbox) fill() error {
	if b.r == b.w {
		b.r, b.w = 0, 0
		if len(b.buf) > usualInbox {
			b.buf = make([]byte, usualInbox)
		}
	}
	if b.w == len(b.buf) || b.r > 0 && b.r+b.need > len(b.buf) {
		b.makeRoom()
	}
	n, err := b.nc.Read(b.buf[b.w:])
	b.w += n
	if n > 0 {
		return nil
	}
	return err
}

func (b *inbox) makeRoom() {
	to := b.buf
	if b.r == 0 {
		to = make([]byte, 2*len(b.buf))
	}
	b.w = copy(to, b.buf[b.r:b.w])
	b.buf, b.r = to, 0
}

// grow makes the buffer, and the connection, one for a link.
func (b *inbox) grow() {
	b.nc = past(b.nc)
	to := make([]byte, usualInbox)
	b.w = copy(to, b.buf[b.r:b.w])
	b.buf, b.r = to, 0
}

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

// inbox is a connection, and what was read from it.
type inbox struct {
	nc net.Conn
	wire.Reader
}

func newInbox(nc net.Conn) inbox { return inbox{nc, wire.NewReader(nc, smallInbox)} }

// grow makes the buffer, and the connection, one for a link.
func (b *inbox) grow() {
	b.nc = past(b.nc)
	b.Reset(b.nc, usualInbox)
}

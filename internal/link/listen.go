package link

import (
	"context"
	"net"

	"github.com/skein-im/skein/internal/im"
)

// Listen opens a listener for Serve. It leaves TCP's own probes off: the
// heartbeat of the protocol does their work, and radios may sleep.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1}
	return lc.Listen(ctx, "tcp", addr)
}

// ListenShared is Listen at an address where other processes of the same user
// listen too, all of them with ListenShared: the system deals the connections
// out to them (SO_REUSEPORT). Connections that one of them has not accepted
// when it dies are lost with it. They come when they have said something, or
// after about a second of silence: so each wakes the process once. Systems that
// do not deal out fail with im.Unimplemented.
func ListenShared(ctx context.Context, addr string) (net.Listener, error) {
	if !canShare {
		return nil, errCannotShare()
	}
	lc := net.ListenConfig{KeepAlive: -1, Control: sharePort}
	return lc.Listen(ctx, "tcp", addr)
}

// Reservation holds a port for ListenShared without taking connections. So a
// supervisor keeps the port of its workers, whichever of them run.
type Reservation struct {
	addr  *net.TCPAddr
	close func() error
}

// Reserve reserves a port; with port 0 the system chooses one. It fails if
// somebody listens there who does not share.
func Reserve(addr string) (*Reservation, error) {
	if !canShare {
		return nil, errCannotShare()
	}
	want, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, im.Errorf(im.Invalid, "malformed address: %w", err)
	}
	bound, release, err := reservePort(want)
	if err != nil {
		return nil, im.Errorf(im.Unavailable, "cannot reserve %s: %w", addr, err)
	}
	return &Reservation{bound, release}, nil
}

// Addr is the address to give to ListenShared.
func (r *Reservation) Addr() net.Addr { return r.addr }

// Close gives the port up. Those who listen there go on.
func (r *Reservation) Close() error { return r.close() }

func errCannotShare() error {
	return im.Errorf(im.Unimplemented, "on this system, several processes cannot share a port")
}

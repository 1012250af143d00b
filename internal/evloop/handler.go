//go:build linux

package evloop

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"time"
)

// Supported reports whether this system has the engine.
func Supported() bool { return true }

// Handler is what an Engine calls, always on the goroutine of the loop that
// owns the connection: calls for one connection never overlap, and a call that
// blocks holds up every connection of the loop.
type Handler interface {
	// Open is the first call for a connection, after connecting and the
	// TLS handshake.
	Open(c *Conn)
	// Data hands over what has arrived and was not consumed before, and
	// returns how many bytes of it are done with. The rest is kept and
	// comes again, in front of what arrives next. b is valid during the
	// call, and may be changed as far as it is consumed.
	Data(c *Conn, b []byte) (consumed int)
	// Timeout tells that the time set with SetTimer or SetIdle is over.
	Timeout(c *Conn)
	// Drained answers NotifyDrained.
	Drained(c *Conn)
	// Closed is the last call. err is what the connection was closed with
	// on this side, io.EOF when the peer had finished, or what went wrong.
	Closed(c *Conn, err error)
	// Failed is the only call for a connection that did not get as far as
	// Open: dialing or the TLS handshake failed.
	Failed(c *Conn, err error)
}

// Options say what to do with the connections of a listener, or with one.
type Options struct {
	// TLS, when set, is spoken: as the server on connections that were
	// accepted or adopted, as the client on dialed ones. Its callbacks run
	// on the loop and must not block.
	TLS *tls.Config
	// Value is the Value of each connection until SetValue.
	Value any
}

// DialOptions say how to connect.
type DialOptions struct {
	Options
	// Local is the address to connect from; the system chooses the port,
	// and the address too if it is zero.
	Local netip.Addr
	// Timeout bounds connecting and the TLS handshake; the default is
	// Config.HandshakeTimeout.
	Timeout time.Duration
}

// What operations fail with, and connections are closed with.
var (
	// ErrClosed: the connection or the engine is closed.
	ErrClosed = errors.New("evloop: closed")
	// ErrShutdown: Shutdown cut the connection, or refuses a new one.
	ErrShutdown = errors.New("evloop: the engine is shutting down")
	// ErrQueueFull: the connection has Config.MaxQueue bytes waiting.
	ErrQueueFull = errors.New("evloop: the connection's outgoing queue is full")
	// ErrBusy: the loop has Config.MaxInbox requests waiting.
	ErrBusy = errors.New("evloop: the loop's inbox is full")
	// ErrTooMany: Config.MaxConns connections are open.
	ErrTooMany = errors.New("evloop: too many connections")
	// ErrTooLong: more than Config.MaxPartial bytes were left unconsumed.
	ErrTooLong = errors.New("evloop: too many bytes without a whole message")
	// ErrStalled: the peer did not take what was written.
	ErrStalled = errors.New("evloop: the peer does not read")
	// ErrTimeout: connecting or the TLS handshake took too long.
	ErrTimeout = errors.New("evloop: no connection in time")
	// ErrInvalidAddr: the address to connect to is not one.
	ErrInvalidAddr = errors.New("evloop: not an address to connect to")
	// ErrNotAdoptable: the connection is not a bare socket.
	ErrNotAdoptable = errors.New("evloop: not a connection with a file descriptor")
)

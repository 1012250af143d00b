package relay

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/accept"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// accept takes connections of other regions.
func (r *Relay) accept() {
	err := accept.Loop(r.ln, r.ctx.Done(), r.cfg.Logger, func(nc net.Conn) {
		select {
		case r.handshakes <- struct{}{}:
			r.tasks.Go(func() { r.serve(nc) })
		default:
			nc.Close()
		}
	})
	if err != nil && !r.draining.Load() {
		r.cfg.Logger.Error("other regions cannot connect any more", "err", err)
	}
}

// serve is the life of a connection.
func (r *Relay) serve(nc net.Conn) {
	tc := tls.Server(nc, r.cfg.Credentials.server())
	from, err := r.identify(tc)
	<-r.handshakes
	if err != nil {
		r.mu.Lock()
		r.refused++
		r.mu.Unlock()
		r.cfg.Logger.Warn("a relay was refused", "from", nc.RemoteAddr().String(), "err", err)
		nc.Close()
		return
	}
	if tc.ConnectionState().NegotiatedProtocol == protoRole {
		r.roles.hand(tc)
		return
	}
	defer tc.Close()
	if !r.track(tc) {
		return
	}
	defer r.untrack(tc)
	if err := r.receive(tc, from); err != nil && r.ctx.Err() == nil {
		r.cfg.Logger.Info("a relay's connection ended", "region", string(from), "err", err)
	}
}

// identify shakes hands, and says which region's certificate it was.
func (r *Relay) identify(tc *tls.Conn) (im.Region, error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.HandshakeTimeout)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		return "", err
	}
	state := tc.ConnectionState()
	for name := range r.peers {
		if state.PeerCertificates[0].VerifyHostname(ServerName(name)) == nil {
			if state.NegotiatedProtocol == "" {
				return "", im.Errorf(im.Unimplemented, "it speaks no protocol known here")
			}
			return name, nil
		}
	}
	return "", im.Errorf(im.PermissionDenied, "its certificate names no region known here: %q", state.PeerCertificates[0].DNSNames)
}

func (r *Relay) track(nc *tls.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil || r.draining.Load() {
		return false
	}
	r.conns[nc] = struct{}{}
	return true
}

func (r *Relay) untrack(nc *tls.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, nc)
}

// welcome answers a greeting, telling the region's addresses, and returns the
// stream that begins and its last batch.
func (r *Relay) welcome(nc net.Conn, in *wire.Reader, from im.Region, told *Places) (stream, last uint64, err error) {
	_ = nc.SetDeadline(time.Now().Add(r.cfg.HandshakeTimeout))
	t, payload, err := in.Frame(maxGreeting)
	if err != nil {
		return 0, 0, err
	}
	hello, err := readGreeting(payload)
	if err != nil || t != typeHello {
		return 0, 0, im.Errorf(im.Invalid, "region %s begins with something else than a greeting", from)
	}
	last = r.peers[from].in.Begin(hello.stream)
	answer := greeting{version: version, stream: hello.stream, received: last, places: *told}
	if _, err := nc.Write(wire.AppendFrame(nil, typeWelcome, answer.append(nil))); err != nil {
		return 0, 0, err
	}
	return hello.stream, last, nc.SetDeadline(time.Time{})
}

// receive takes batches, and confirms them when there is nothing more to read at
// once. When the relay drains, it takes what has come, and confirms it.
func (r *Relay) receive(nc *tls.Conn, from im.Region) error {
	in, told := wire.NewReader(nc, maxGreeting), r.places.Load()
	stream, number, err := r.welcome(nc, &in, from, told)
	if err != nil {
		return err
	}
	pack, err := newPacker()
	if err != nil {
		return err
	}
	defer pack.close()
	paced := wire.Paced{Conn: nc, Pause: 3 * r.cfg.Heartbeat}
	in.Reset(woken{paced, &r.draining}, maxBatch)
	deliver := func(m *entity.Message, hops uint8) { r.cfg.Deliver(from, m, hops) }
	for {
		t, payload, err := in.Frame(maxFrame)
		if err != nil && !r.draining.Load() {
			return err
		}
		if t == typeBatch && err == nil {
			if number, err = r.peers[from].in.Take(stream, payload, pack.unpack, deliver); err != nil {
				return err
			}
		}
		if in.Buffered() > 0 && err == nil {
			continue
		}
		out := wire.AppendFrame(nil, typeAck, binary.AppendUvarint(nil, number))
		if now := r.places.Load(); now != told {
			told = now
			out = wire.AppendFrame(out, typePlaces, (&greeting{version: version, places: *now}).append(nil))
		}
		if _, err := paced.Write(out); err != nil {
			return err
		}
		if r.draining.Load() {
			return r.part(nc)
		}
	}
}

// woken is a connection whose reader Drain can wake, by a deadline: it says before
// that it drains, so who sets a later one sees that.
type woken struct {
	wire.Paced
	draining *atomic.Bool
}

var errDraining = errors.New("the relay drains")

func (c woken) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.Pause)); err != nil {
		return 0, err
	}
	if c.draining.Load() {
		return 0, errDraining
	}
	return c.Conn.Read(b)
}

// part says that nothing more is taken, and waits until the other end has heard
// it: what it still sends would meet a closed connection otherwise, whose refusal can
// take the last confirmation with it, and all that it confirms comes again.
func (r *Relay) part(nc *tls.Conn) error {
	if err := nc.CloseWrite(); err != nil {
		return err
	}
	// After the deadline that Drain sets.
	r.mu.Lock()
	err := nc.SetReadDeadline(time.Now().Add(r.cfg.HandshakeTimeout))
	r.mu.Unlock()
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, nc.NetConn())
	return err
}

// roleListener accepts the role links among the connections.
type roleListener struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newRoleListener(addr net.Addr) *roleListener {
	return &roleListener{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

// hand gives a connection to who accepts, or closes it.
func (l *roleListener) hand(nc net.Conn) {
	select {
	case l.conns <- nc:
	case <-l.done:
		nc.Close()
	}
}

// Accept implements net.Listener.
func (l *roleListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *roleListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *roleListener) Addr() net.Addr { return l.addr }

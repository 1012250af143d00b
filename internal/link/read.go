package link

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"os"

	"github.com/gobwas/ws"

	"github.com/skein-im/skein/internal/evloop"
)

// run is the connection's goroutine.
func (c *conn) run() {
	defer c.srv.forget(c)
	if err := c.handshake(); err != nil || !c.open() {
		if !c.refused() {
			c.srv.stats.handshakeFailed.Add(1)
		}
		c.sock.Close()
		c.in.close()
		return
	}
	err := c.readAll()
	c.finish(err)
	c.handler.Closed(c, c.cause)
}

// handshake brings the connection to where frames begin.
func (c *conn) handshake() error {
	if err := c.sock.SetDeadline(c.handshakeBy); err != nil {
		return err
	}
	if cfg := c.srv.cfg.TLS; cfg != nil && !c.upgraded() {
		if !c.srv.budget.Room(evloop.Spare, handshakeBytes) {
			return c.srv.noRoom()
		}
		c.srv.budget.Add(handshakeBytes)
		defer c.srv.budget.Add(-handshakeBytes)
		t := tls.Server(c.sock, cfg)
		if err := t.Handshake(); err != nil {
			return err
		}
		c.setConn(t)
	}
	if c.upgraded() {
		return nil
	}
	if err := c.in.read(c.nc); err != nil {
		return err
	}
	if looksLikeHTTP(c.in.buf.unread()[0]) {
		return c.upgrade()
	}
	return nil
}

// upgraded: the connection came out of an HTTP server as a WebSocket.
func (c *conn) upgraded() bool { return c.in.ws != nil }

// open tells the handler, unless the connection has been closed meanwhile.
func (c *conn) open() bool {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return false
	}
	c.ready, c.first = true, true
	c.idle = c.srv.cfg.Idle
	c.mu.Unlock()
	c.handler.Open(c)
	c.mu.Lock()
	c.opened = !c.refused()
	c.mu.Unlock()
	return true
}

// refused: it was counted as such, and can only be told so.
func (c *conn) refused() bool {
	_, is := c.handler.(refuser)
	return is
}

// readAll hands frames over until the connection ends, and returns why.
func (c *conn) readAll() error {
	for {
		if err := c.dispatch(); err != nil {
			c.leave(c.srv.refusal(err))
		}
		if c.stopped.Load() {
			// What comes now is not for the handler; it is read so that
			// the goodbye is not cut short by a reset.
			c.in.discard()
		}
		c.srv.stats.reads.Add(1)
		err := c.in.read(c.nc)
		if err == nil {
			continue
		}
		if errors.Is(err, evloop.ErrNoRoom) {
			c.leave(c.srv.refusal(err))
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || c.overdue() {
			return err
		}
	}
}

// dispatch hands over every whole frame that was read. What the handler sends
// meanwhile leaves together afterwards.
func (c *conn) dispatch() error {
	c.cork()
	frames := 0
	defer func() { c.uncork(frames > 0) }()
	for !c.stopped.Load() {
		ev, t, payload, err := c.in.next(int(c.maxFrame.Load()))
		if err != nil {
			return err
		}
		switch ev {
		case more:
			return nil
		case gotFrame:
			frames++
			c.handler.Frame(c, t, payload)
		case gotPing:
			c.pong(payload)
		case gotClose:
			c.peerClosed(closeStatus(payload))
		}
	}
	return nil
}

// closeStatus is the status to answer a WebSocket close with: its own.
func closeStatus(payload []byte) uint16 {
	if len(payload) < 2 {
		return uint16(ws.StatusNormalClosure)
	}
	return binary.BigEndian.Uint16(payload)
}

//go:build linux

package link

import (
	"bytes"

	"github.com/gobwas/ws"

	"github.com/skein-im/skein/internal/evloop"
)

// data takes what has arrived, as far as it is whole, and returns how many
// bytes that is. What the handler sends meanwhile leaves together afterwards.
func (c *loopConn) data(b []byte) int {
	c.mu.Lock()
	c.corked = true
	c.mu.Unlock()
	n, alive := 0, false
	if c.ready {
		n, alive = c.dispatch(b)
	} else {
		n, alive = c.begin(b)
	}
	c.uncork(alive)
	return n
}

// begin takes the first bytes: a frame's, or a request for a WebSocket, which
// is looked at when it is whole.
func (c *loopConn) begin(b []byte) (n int, alive bool) {
	if looksLikeHTTP(b[0]) {
		size, whole, err := requestSize(b)
		if err == nil && whole {
			err = c.upgrade(b[:size])
		}
		if err != nil {
			c.hangUp(err)
			return 0, false
		}
		if !whole {
			return 0, false
		}
		c.web, n = true, size
	}
	if !c.open() {
		return n, false
	}
	m, alive := c.dispatch(b[n:])
	return n + m, alive
}

// upgrade answers a whole request.
func (c *loopConn) upgrade(request []byte) error {
	u := ws.Upgrader{OnRequest: c.srv().checkPath}
	_, err := u.Upgrade(&oneRequest{*bytes.NewReader(request), c.ec})
	return err
}

// oneRequest is a connection on which there is a request and nothing else.
type oneRequest struct {
	bytes.Reader
	ec *evloop.Conn
}

func (r *oneRequest) Write(b []byte) (int, error) { return len(b), r.ec.Write(b) }

// open tells the handler, unless the connection is being closed.
func (c *loopConn) open() bool {
	c.mu.Lock()
	if c.closing != nil {
		c.mu.Unlock()
		return false
	}
	c.ready = true
	c.mu.Unlock()
	c.handler().Open(c)
	return true
}

// dispatch hands over every whole frame. alive: there was one.
func (c *loopConn) dispatch(b []byte) (n int, alive bool) {
	d := c.decoder(b)
	var ping []byte
	for !c.stopped.Load() {
		ev, t, payload, err := d.next(int(c.maxFrame.Load()))
		if err != nil {
			c.leave(c.srv().refusal(err))
			break
		}
		if ev == more {
			break
		}
		switch ev {
		case gotFrame:
			alive = true
			c.handler().Frame(c, t, payload)
		case gotPing:
			ping = payload
		case gotClose:
			c.peerClosed(closeStatus(payload))
		}
	}
	if ping != nil {
		// Only the latest needs to be answered.
		c.sendPong(ping)
	}
	n = d.buf.r
	c.keepParts(d)
	return n, alive
}

// decoder returns the loop's decoder, with b to be cut.
func (c *loopConn) decoder(b []byte) *decoder {
	d := &c.desk.dec
	*d = decoder{buf: buffer{data: b, w: len(b)}}
	if c.web {
		d.ws = &c.desk.ws
		*d.ws = wsDecoder{side: ws.StateServerSide, budget: c.desk.loop.Budget()}
		if c.parts != nil {
			*d.ws = *c.parts
		}
	}
	return d
}

// keepParts keeps what has come of a message in fragments.
func (c *loopConn) keepParts(d *decoder) {
	w := d.ws
	if w != nil && c.stopped.Load() {
		w.release()
	}
	if w == nil || !w.fragmented {
		c.parts = nil
	} else if c.parts == nil {
		c.parts = &wsDecoder{side: w.side, parts: w.parts, fragmented: true, budget: w.budget, held: w.held}
	} else {
		c.parts.parts, c.parts.held = w.parts, w.held
	}
	*d = decoder{}
	c.desk.ws = wsDecoder{}
}

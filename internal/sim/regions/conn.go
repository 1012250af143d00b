package regions

import (
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/relay"
	"github.com/skein-im/skein/internal/wire"
)

// conn is a connection that a relay has made to one of another region: in order both
// ways until it breaks. Then everything under way is lost.
type conn struct {
	from, to *relayProc
	broken   bool
	// toAt and backAt are when the last thing sent arrives.
	toAt, backAt time.Duration
}

var errConn = im.Errorf(im.Unavailable, "simulated: the connection broke")

// cut reports whether nothing gets through between the two regions.
func (c *conn) cut() bool {
	return c.from.h.cutOut || c.to.h.cutOut || c.from.s.w.isCut(c.from.s, c.to.s)
}

// send lets f happen at the other end.
func (c *conn) send(f func()) {
	w := c.from.s.w
	c.toAt = max(c.toAt, w.now+w.between(0, w.delay))
	w.after(c.toAt-w.now, func() { c.arrive(c.to, f) })
}

// back lets f happen at the end that made the connection.
func (c *conn) back(f func()) {
	w := c.from.s.w
	c.backAt = max(c.backAt, w.now+w.between(0, w.delay))
	w.after(c.backAt-w.now, func() { c.arrive(c.from, f) })
}

// arrive lets f happen, unless the connection breaks before or after it.
func (c *conn) arrive(at *relayProc, f func()) {
	w := at.s.w
	if c.cut() || w.chance(w.lose/8) {
		w.report.Lost++
		c.breaks(3 * time.Second)
	}
	if c.broken {
		return
	}
	at.enter(func() {
		if !c.broken {
			f()
		}
	})
	if w.chance(w.lose / 8) {
		c.breaks(time.Second)
	}
}

// breaks ends the connection; who made it notices after a while.
func (c *conn) breaks(notice time.Duration) {
	if !c.broken {
		w := c.from.s.w
		c.broken = true
		w.after(w.between(0, notice), func() { c.from.enter(func() { c.from.ended(c) }) })
	}
}

// dial connects a relay with one of another region.
func (r *relayProc) dial(x int) {
	w := r.s.w
	to := w.sites[x].relays[r.at[x]%len(w.sites[x].relays)]
	c := &conn{from: r, to: to.alive()}
	if r.conns[x] != nil {
		return
	}
	if c.to == nil || c.cut() {
		r.at[x]++
		r.out[x].Ended(w.time(), errConn)
		w.after(w.between(25*time.Millisecond, 3*time.Second), func() { r.enter(func() { r.dial(x) }) })
		return
	}
	r.conns[x] = c
	stream := r.stream(x)
	c.send(func() {
		received := c.to.in[r.s.index].Begin(stream)
		c.back(func() { r.began(x, c, received) })
	})
	// A handshake that is not answered is given up.
	w.after(relay.DefaultHandshakeTimeout, func() {
		r.enter(func() {
			if r.conns[x] == c && !r.out[x].Reach().Up {
				c.breaks(0)
			}
		})
	})
}

// began sends again what has not arrived, and what waits.
func (r *relayProc) began(x int, c *conn, received uint64) {
	repeat := r.out[x].Began(r.s.w.time(), received, relay.Places{})
	r.s.w.report.Repeated += len(repeat)
	for _, b := range repeat {
		r.send(x, c, b)
	}
	r.tell(x)
	r.pump(x)
	r.pay(x)
}

// ended notes that a connection is gone, and makes another one, perhaps to another relay.
func (r *relayProc) ended(c *conn) {
	w, x := r.s.w, c.to.s.index
	if r.conns[x] != c {
		return
	}
	r.conns[x] = nil
	r.out[x].Ended(w.time(), errConn)
	r.at[x]++
	r.tell(x)
	w.after(w.between(25*time.Millisecond, 3*time.Second), func() { r.enter(func() { r.dial(x) }) })
}

// pump sends what waits for a region.
func (r *relayProc) pump(x int) {
	c, w := r.conns[x], r.s.w
	if c == nil || !r.out[x].Reach().Up {
		return
	}
	for b, ok := r.out[x].Take(w.time()); ok; b, ok = r.out[x].Take(w.time()) {
		r.send(x, c, b)
	}
	// Whoever confirms nothing is left.
	w.after(relay.DefaultPatience+time.Millisecond, func() {
		r.enter(func() {
			if r.conns[x] == c && r.out[x].Overdue(w.time()) {
				c.breaks(0)
			}
		})
	})
}

// send sends one batch.
func (r *relayProc) send(x int, c *conn, b relay.Batch) {
	w, stream := r.s.w, r.stream(x)
	w.report.Batches++
	c.send(func() {
		_, payload, _, err := wire.Parse(b.Frame, len(b.Frame))
		if err != nil {
			w.failf("a batch cannot be read: %v", err)
		}
		plain := func(raw []byte) ([]byte, error) { return raw, nil }
		number, err := c.to.in[r.s.index].Take(stream, payload, plain, func(m *entity.Message, hops uint8) {
			c.to.region.Deliver(r.s.name, m, hops)
		})
		if err != nil {
			w.failf("a batch cannot be taken: %v", err)
		}
		c.back(func() {
			r.out[x].Confirm(w.time(), number)
			r.pay(x)
		})
	})
}

// tell lets the nodes know how it stands with a region.
func (r *relayProc) tell(x int) {
	for _, t := range r.ties {
		if t.x == x {
			t.tell()
		}
	}
}

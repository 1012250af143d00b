//go:build linux

package swarm

import (
	"container/heap"
	"errors"
	"io"
	"strings"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/evloop"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// dialer opens the connections, and those that have ended again.
type dialer struct {
	begun bool
	order Connect
	// next is the first client that has not been connected yet.
	next int
	// underway are opening.
	underway int
	again    attempts
}

// attempt is a client to be connected again.
type attempt struct {
	at    int64
	index uint32
}

// attempts is a heap by time.
type attempts []attempt

func (a attempts) Len() int           { return len(a) }
func (a attempts) Less(i, j int) bool { return a[i].at < a[j].at }
func (a attempts) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *attempts) Push(x any)        { *a = append(*a, x.(attempt)) }
func (a *attempts) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// dialTick is how often the dialer looks when there is a rate.
const dialTick = 5 * time.Millisecond

// fill opens connections as far as the window and the rate allow. Without a rate
// it opens many at a time, which wakes the processes on both sides less often
// than one after the other would.
func (m *member) fill(now int64) (next int64) {
	d := &m.dialer
	if !d.begun || m.stopping || d.order.Rate == 0 && d.underway > d.order.Window/2 {
		return never
	}
	for d.underway < d.order.Window {
		before := d.next
		i, ok := d.take(now, len(m.clients))
		if !ok {
			break
		}
		if before < d.next {
			m.beats.dialed(i, now)
		}
		m.dial(&m.clients[i], now)
	}
	if m.status.Dialed < d.next && d.next == len(m.clients) {
		m.tell()
	}
	m.status.Dialed = d.next
	switch {
	case d.order.Rate > 0 && d.next < len(m.clients):
		return now + int64(dialTick)
	case len(d.again) > 0 && d.underway < d.order.Window:
		return max(d.again[0].at, d.order.Start)
	case now < d.order.Start:
		return d.order.Start
	}
	return never
}

// take is the place of the next client to connect, if it is time for one.
func (d *dialer) take(now int64, clients int) (int, bool) {
	if len(d.again) > 0 && d.again[0].at <= now {
		return int(heap.Pop(&d.again).(attempt).index), true
	}
	allowed := d.order.Rate == 0 || float64(d.next) < float64(now-d.order.Start)*d.order.Rate/1e9
	if d.next == clients || now < d.order.Start || !allowed {
		return 0, false
	}
	d.next++
	return d.next - 1, true
}

func (m *member) dial(cl *client, now int64) {
	cl.state = opening
	cl.began = uint32((now - m.dialer.order.Start) / 1000)
	m.dialer.underway++
	options := m.options
	options.Value = cl
	options.Local = from(options.Local, cl.index)
	if err := m.loop.Dial(m.target, options); err != nil {
		m.gone(cl, err)
	}
}

// Open implements evloop.Handler: it says hello, or asks for a WebSocket first.
func (m *member) Open(c *evloop.Conn) {
	cl := c.Value().(*client)
	cl.conn, cl.web = c, false
	c.SetTimer(loginTimeout)
	if m.job.WebSocket {
		_ = c.Write([]byte(upgradeRequest)) // If that fails, Closed follows.
		return
	}
	m.hello(cl)
}

func (m *member) hello(cl *client) {
	hello, err := wire.AppendMessage(m.out[:0], wire.TypeHello, &skeinv1.Hello{
		Version: protocolVersion, Token: Token(m.job.Seed, m.job.user(int(cl.index))),
		HeartbeatMs: m.job.HeartbeatMS, Agent: "skein-bench",
	})
	if err != nil {
		cl.conn.Close(err)
		return
	}
	m.out = hello
	m.put(cl, hello)
}

// protocolVersion is what Hello says.
const protocolVersion = 1

var errNoWelcome = errors.New("no welcome in time")

// Timeout implements evloop.Handler: Welcome has not come.
func (m *member) Timeout(c *evloop.Conn) { c.Close(errNoWelcome) }

// Drained implements evloop.Handler; nobody asks for it.
func (m *member) Drained(*evloop.Conn) {}

// Closed implements evloop.Handler.
func (m *member) Closed(c *evloop.Conn, err error) { m.gone(c.Value().(*client), err) }

// Failed implements evloop.Handler.
func (m *member) Failed(c *evloop.Conn, err error) { m.gone(c.Value().(*client), err) }

// welcome ends a login.
func (m *member) welcome(cl *client, payload []byte, now int64) {
	var w [10]uint64
	if cl.state != opening || !numbers(payload, w[:]) || im.UserID(w[welcomeUser]) != m.job.user(int(cl.index)) {
		m.fail(cl, "a welcome that is not one")
		return
	}
	cl.conn.SetTimer(0)
	cl.state, cl.attempts = live, 0
	m.dialer.underway--
	m.status.Connected++
	m.status.Logins++
	m.status.LastLogin = now
	m.status.HeartbeatMS = uint32(w[welcomeHeartbeat])
	record(m.logins, now-m.dialer.order.Start-int64(cl.began)*1000)
	if m.job.Money {
		m.openPurse(cl, im.Seq(w[welcomeHead]))
	}
	if m.job.Sends {
		m.chat.welcome(cl, im.Seq(w[welcomeCursor]), im.ClientSeq(w[welcomeClientSeq]))
	}
	m.fill(now)
}

// Fields of Welcome.
const (
	welcomeUser      = 1
	welcomeHead      = 4
	welcomeCursor    = 5
	welcomeClientSeq = 6
	welcomeHeartbeat = 7
)

// closing takes the server's goodbye.
func (m *member) closing(cl *client, payload []byte) {
	var g skeinv1.Close
	if err := wire.UnmarshalMessage(payload, &g); err != nil {
		m.fail(cl, "a close that is not one")
		return
	}
	m.end(cl, "closed with "+strings.TrimPrefix(g.GetCode().String(), "CLOSE_CODE_"))
	cl.conn.Close(nil)
	cl.wait = g.GetRetryAfterMs()
	if !im.CloseCode(g.GetCode()).Reconnect() {
		cl.state = failed
		m.status.Failed++
	}
}

// fail ends a connection because of what came on it.
func (m *member) fail(cl *client, kind string) {
	m.status.Wrong++
	m.end(cl, kind)
	cl.conn.Close(errWrong)
}

var errWrong = errors.New("the server sent something wrong")

// end accounts for the end of a connection, once.
func (m *member) end(cl *client, kind string) {
	switch cl.state {
	case opening:
		m.dialer.underway--
	case live:
		m.status.Connected--
		m.status.Lost++
		m.forget(cl)
	default:
		return
	}
	m.note(kind)
	cl.state = ended
}

// forget drops what a connection still had to answer.
func (m *member) forget(cl *client) {
	if cl.beats > 0 {
		cl.beats = 0
		m.status.BeatsOpen--
	}
	open := int(cl.pings)
	cl.pings = 0
	if m.job.Money {
		m.closePurse(cl, open)
	}
	if cl.talk != nil {
		open += cl.talk.forget()
	}
	m.status.Load.Open -= open
	m.status.Load.Unknown += uint64(open)
}

// gone has a client connect again, now that its connection is closed.
func (m *member) gone(cl *client, err error) {
	if m.stopping {
		return
	}
	kind := "the server hung up"
	if !errors.Is(err, io.EOF) {
		kind = err.Error()
	}
	m.end(cl, kind)
	cl.conn = nil
	if cl.state != ended {
		return
	}
	cl.state = away
	m.status.Retries++
	spread := min(maxSpread, minSpread<<min(cl.attempts, 10))
	wait := time.Duration(cl.wait)*time.Millisecond + time.Duration(m.rng.Int64N(int64(spread)))
	cl.wait = 0
	cl.attempts++
	heap.Push(&m.dialer.again, attempt{m.clock.now() + int64(wait), cl.index})
}

// Attempts are spread over a time that doubles.
const (
	minSpread = 50 * time.Millisecond
	maxSpread = 2 * time.Second
)

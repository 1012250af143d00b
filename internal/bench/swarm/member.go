//go:build linux

package swarm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/skein-im/skein/internal/evloop"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/sched"
)

// member is one process's part of a swarm. All of it belongs to the loop's
// goroutine, but what says otherwise.
type member struct {
	job     Job
	clock   clock
	engine  *evloop.Engine
	loop    *evloop.Loop
	target  netip.AddrPort
	options evloop.DialOptions
	rng     *rand.Rand

	clients  []client
	dialer   dialer
	beats    heartbeats
	expected []byte
	load     load
	chat     chat
	calls    calls
	ackAt    int64
	stopping bool

	status                    Status
	latency, lateness, logins *hdrhistogram.Histogram
	wins, opens               *hdrhistogram.Histogram
	seconds                   []Second
	reportAt                  int64
	// out is a frame on its way to a connection, packet the same for a
	// WebSocket.
	out, packet []byte
	// reports go to the goroutine that writes them.
	reports chan Report
}

// client is a device and its connection. There may be very many.
type client struct {
	conn *evloop.Conn
	// talk is that of a device that sends messages.
	talk *talk
	// purse is that of a device that has to do with money, and has had.
	purse *purse
	index uint32
	// began is when connecting began, in microseconds since Connect.Start.
	began uint32
	// wait is how long the server asked to wait, in milliseconds.
	wait uint32
	// cursor is where the timeline stands, as long as there is no purse.
	cursor uint32
	// pings are requests without an answer.
	pings    uint16
	attempts uint8
	state    state
	// beats are heartbeats without an answer.
	beats uint8
	// noticed: the expected notice has come.
	noticed bool
	// greeted: there was a connection before.
	greeted bool
	// web: the connection has become a WebSocket.
	web bool
}

// state is how far a client has come.
type state uint8

const (
	// away: not connected, or waiting to be again.
	away state = iota
	// opening: connecting or logging in.
	opening
	live
	// ended: to be connected again when the connection is closed.
	ended
	// failed: refused for good.
	failed
)

// never is a time that does not come.
const never = math.MaxInt64

// Timing of a member.
const (
	idleTick = 100 * time.Millisecond
	// reportShare is what a member adds to the time between two reports of
	// each, so that the parent has about as many to read however many they
	// are; maxReportEvery is the longest such time.
	reportShare    = 10 * time.Millisecond
	maxReportEvery = 500 * time.Millisecond
	// loginTimeout bounds connecting and, apart, the time to Welcome.
	loginTimeout = 30 * time.Second
)

// Member runs a member: its job and orders come from in, its reports go to
// out. It returns when in ends.
func Member(in io.Reader, out io.Writer) error {
	orders := json.NewDecoder(in)
	var job Job
	if err := orders.Decode(&job); err != nil {
		return fmt.Errorf("a member's job: %w", err)
	}
	if job.Members > runtime.NumCPU() {
		if err := sched.Batch(); err != nil {
			return err
		}
	}
	m, err := newMember(job)
	if err != nil {
		return errors.Join(err, json.NewEncoder(out).Encode(Report{Error: err.Error()}))
	}
	var tasks sync.WaitGroup
	tasks.Go(func() { m.write(out) })
	_ = m.loop.Post(m.run)
	err = m.follow(orders)
	_ = m.loop.Post(func() { m.stopping = true })
	m.stop()
	tasks.Wait()
	return err
}

func newMember(job Job) (*member, error) {
	if job.Members < 1 || job.Member < 0 || job.Member >= job.Members || job.Total < job.Members {
		return nil, fmt.Errorf("member %d of %d for %d connections cannot be", job.Member, job.Members, job.Total)
	}
	m := &member{
		job: job, clock: newClock(), rng: rand.New(rand.NewPCG(job.Seed, uint64(job.Member))),
		clients: make([]client, job.Conns()),
		latency: newHistogram(), lateness: newHistogram(), logins: newHistogram(),
		wins: newHistogram(), opens: newHistogram(),
		reports: make(chan Report, 16),
	}
	for i := range m.clients {
		m.clients[i].index = uint32(i)
	}
	if err := m.dialOptions(); err != nil {
		return nil, err
	}
	m.chat.init(&job)
	m.calls.next = never
	var err error
	m.engine, err = evloop.New(evloop.Config{
		Handler: m, Loops: 1, MaxConns: len(m.clients) + spareFiles, MaxPartial: im.MaxServerFrame + 16,
		HandshakeTimeout: loginTimeout, StallTimeout: loginTimeout,
	})
	if err != nil {
		return nil, err
	}
	m.loop = m.engine.Loops()[0]
	return m, nil
}

// dialOptions reads what the job says of connecting.
func (m *member) dialOptions() (err error) {
	if m.target, err = netip.ParseAddrPort(m.job.Target); err != nil {
		return fmt.Errorf("the server's address: %w", err)
	}
	if m.job.Source != "" {
		if m.options.Local, err = netip.ParseAddr(m.job.Source); err != nil {
			return fmt.Errorf("the source address: %w", err)
		}
	}
	if !m.job.TLS {
		return nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil || roots == nil {
		roots = x509.NewCertPool()
	}
	if len(m.job.CA) > 0 && !roots.AppendCertsFromPEM(m.job.CA) {
		return errors.New("the certificate to trust is not one")
	}
	m.options.TLS = &tls.Config{RootCAs: roots, ServerName: m.job.ServerName, MinVersion: tls.VersionTLS12}
	return nil
}

// follow obeys orders until there are no more.
func (m *member) follow(orders *json.Decoder) error {
	for {
		var o Order
		err := orders.Decode(&o)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("an order: %w", err)
		}
		if err := m.loop.Post(func() { m.obey(&o) }); err != nil {
			return err
		}
	}
}

func (m *member) obey(o *Order) {
	m.status.Orders++
	defer m.tell()
	switch {
	case o.Connect != nil:
		m.dialer.order, m.dialer.begun = *o.Connect, !o.Connect.Wait
	case o.Expect != nil:
		m.expect(o.Expect.Mark)
	case o.Load != nil:
		m.startLoad(*o.Load)
	case o.Rate != nil:
		m.changeRate(*o.Rate)
	case o.Rest:
		m.beats.resting = true
	case o.Collect:
		m.collect()
	}
}

// tell has things reported, and looked after, at once.
func (m *member) tell() {
	m.reportAt = 0
	m.loop.At(m.loop.Now(), m.run)
}

// run does what is due, and comes again when something else is.
func (m *member) run() {
	if m.stopping {
		return
	}
	now := m.clock.now()
	next := m.tick(now)
	m.loop.At(time.Now().Add(time.Duration(next-now)), m.run)
}

// tick does what is due, and returns when something else is.
func (m *member) tick(now int64) (next int64) {
	next = min(now+int64(idleTick), m.fill(now))
	next = min(next, m.beat(now))
	next = min(next, m.request(now))
	next = min(next, m.repeatCalls(now))
	m.acknowledge(now)
	if now >= m.reportAt {
		m.reportAt = now + int64(min(reportShare*time.Duration(m.job.Members), maxReportEvery))
		m.report(nil)
	}
	return min(next, m.reportAt)
}

// report tells how things stand. A status may be left out when the parent is
// slow, since the next one will do; what was collected may not.
func (m *member) report(c *Collected) {
	m.status.CPU = ownCPU()
	r := Report{Status: m.status, Collected: c}
	r.Status.Errors = make(map[string]uint64, len(m.status.Errors))
	for kind, n := range m.status.Errors {
		r.Status.Errors[kind] = n
	}
	if c != nil {
		m.reports <- r
		return
	}
	select {
	case m.reports <- r:
	default:
	}
}

// collect reports what is too much for every time.
func (m *member) collect() {
	c := &Collected{
		Latency: encode(m.latency), Lateness: encode(m.lateness), Logins: encode(m.logins),
		Wins: encode(m.wins), Opens: encode(m.opens), Seconds: m.seconds,
	}
	if m.job.Sends {
		c.Admitted, c.Received = m.books()
	}
	if m.job.Money {
		m.moneyBooks(c)
	}
	m.report(c)
}

// write writes reports until there are no more. When the parent is gone, there
// is nobody to tell.
func (m *member) write(out io.Writer) {
	enc := json.NewEncoder(out)
	var err error
	for r := range m.reports {
		if err == nil {
			err = enc.Encode(r)
		}
	}
}

// stop cuts all connections.
func (m *member) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = m.engine.Shutdown(ctx) // That they are cut is what it says.
	close(m.reports)
}

// maxKinds bounds how many kinds of errors are told apart.
const maxKinds = 64

// wrong counts something that no server should do.
func (m *member) wrong(kind string) {
	m.status.Wrong++
	m.note(kind)
}

// note counts an error.
func (m *member) note(kind string) {
	if m.status.Errors == nil {
		m.status.Errors = map[string]uint64{}
	}
	if _, known := m.status.Errors[kind]; !known && len(m.status.Errors) >= maxKinds {
		kind = "other errors"
	}
	m.status.Errors[kind]++
}

// ownCPU is the processor time this process has used, in nanoseconds.
func ownCPU() int64 {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return ru.Utime.Nano() + ru.Stime.Nano()
}

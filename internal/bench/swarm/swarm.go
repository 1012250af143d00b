package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Config is what a Swarm is made of.
type Config struct {
	// Program and Args run a member.
	Program string
	Args    []string
	// Attr are attributes of the processes, Stderr takes what they say;
	// both may be nil.
	Attr   *syscall.SysProcAttr
	Stderr io.Writer

	// Conns is how many connections there are, Procs how many processes; 0:
	// as many as needed.
	Conns, Procs int
	Limits       Limits
	// First is the user of the first connection, Seed that of the tokens.
	First im.UserID
	Seed  uint64
	// Targets are where to connect to; the processes take turns.
	Targets []netip.AddrPort
	// TLS: speak it with ServerName, and trust CA, a PEM certificate,
	// besides the system's.
	TLS        bool
	ServerName string
	CA         []byte
	// WebSocket: frames go over one.
	WebSocket bool
	// Heartbeat is the interval to ask for.
	Heartbeat time.Duration
	// Sends, Window and Body are as in Job.
	Sends        bool
	Window, Body int
	// Money, Senders and Run are as in Job.
	Money   bool
	Senders int
	Run     string
}

// Swarm is the parent's end of a swarm. Its methods are for one goroutine.
type Swarm struct {
	cfg     Config
	clock   clock
	members []*process
	readers sync.WaitGroup
	stopped bool

	// ordering guards the giving of orders, and queue, the members that do
	// not connect yet, with the order that they are to get.
	ordering sync.Mutex
	queue    []*process
	connect  Connect

	mu      sync.Mutex
	failure error
	// changed has an element when something was reported.
	changed chan struct{}
}

// Start starts the members. They do not connect yet.
func Start(ctx context.Context, cfg Config) (_ *Swarm, err error) {
	n, err := cfg.Limits.Members(cfg.Conns, cfg.Procs)
	if err == nil {
		err = cfg.Limits.oneAddress(cfg.Conns, cfg.Targets)
	}
	if err != nil {
		return nil, err
	}
	s := &Swarm{cfg: cfg, clock: newClock(), changed: make(chan struct{}, 1)}
	for i := range n {
		p, err := startProcess(cfg.Program, cfg.Args, cfg.Attr, cfg.Stderr, s.job(i, n))
		if err != nil {
			return nil, errors.Join(err, s.Stop())
		}
		s.members = append(s.members, p)
		s.readers.Go(func() { s.read(p) })
	}
	err = s.Wait(ctx, func(*Status) bool { return s.heard() == n })
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Swarm) job(i, n int) *Job {
	target := s.cfg.Targets[i%len(s.cfg.Targets)]
	j := &Job{
		Member: i, Members: n, Total: s.cfg.Conns, First: s.cfg.First, Seed: s.cfg.Seed, Target: target.String(),
		TLS: s.cfg.TLS, ServerName: s.cfg.ServerName, CA: s.cfg.CA,
		WebSocket: s.cfg.WebSocket, HeartbeatMS: uint32(s.cfg.Heartbeat.Milliseconds()),
		Sends: s.cfg.Sends, Window: s.cfg.Window, Body: s.cfg.Body,
		Money: s.cfg.Money, Senders: s.cfg.Senders, Run: s.cfg.Run,
	}
	if from := source(target, i); from.IsValid() {
		j.Source = from.String()
	}
	return j
}

// read takes a member's reports until there are no more.
func (s *Swarm) read(p *process) {
	for {
		var r Report
		err := p.reports.Decode(&r)
		if err == nil && r.Error != "" {
			err = errors.New(r.Error)
		}
		s.mu.Lock()
		done := err == nil && p.status.Dialed < r.Status.Dialed && r.Status.Dialed == p.job.Conns()
		if err == nil {
			p.status, p.heard = r.Status, true
			if r.Collected != nil {
				p.collected = r.Collected
			}
		} else if !p.stopping && s.failure == nil {
			s.failure = fmt.Errorf("process %d of the load generator: %w", p.job.Member, plainly(err))
		}
		s.mu.Unlock()
		if done {
			s.connectNext()
		}
		select {
		case s.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// plainly makes more of the end of a stream.
func plainly(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("it ended")
	}
	return err
}

// heard is how many members have said something.
func (s *Swarm) heard() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.members {
		if p.heard {
			n++
		}
	}
	return n
}

// Processes is how many members there are.
func (s *Swarm) Processes() int { return len(s.members) }

// Now is the time that orders and reports are in.
func (s *Swarm) Now() int64 { return s.clock.now() }

// Status is what the members said last, added up.
func (s *Swarm) Status() *Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := new(Status)
	for _, p := range s.members {
		sum.add(&p.status)
	}
	return sum
}

// Wait waits until the sum of all statuses satisfies a condition, a member
// fails, or ctx ends.
func (s *Swarm) Wait(ctx context.Context, until func(*Status) bool) error {
	for {
		s.mu.Lock()
		err := s.failure
		s.mu.Unlock()
		if err != nil {
			return err
		}
		if until(s.Status()) {
			return nil
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// order tells every member what to do, and waits until all have begun: from
// then on their statuses speak of it.
func (s *Swarm) order(ctx context.Context, o func(*Job) *Order) error {
	given := make([]uint64, len(s.members))
	s.ordering.Lock()
	for i, p := range s.members {
		if err := p.give(o(p.job)); err != nil {
			s.ordering.Unlock()
			return err
		}
		given[i] = p.given
	}
	s.ordering.Unlock()
	return s.Wait(ctx, func(*Status) bool { return s.begun(given) })
}

// begun reports whether the members have begun so many of their orders.
func (s *Swarm) begun(given []uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.members {
		if p.status.Orders < given[i] {
			return false
		}
	}
	return true
}

// together is how many members connect at a time when there is no rate: with
// all of them, each would wake for every connection, and all of them get into
// each other's way.
const together = 2

// Connect lets the connections be opened from a time on: rate is how many a
// second, 0 as many as the window allows, which is how many may be on their
// way.
func (s *Swarm) Connect(ctx context.Context, start int64, rate float64, window int) error {
	n := len(s.members)
	c := Connect{Start: start, Rate: rate / float64(n), Window: max(1, window/n)}
	if rate == 0 {
		n = min(n, together)
		c.Window = max(1, window/n)
	}
	s.ordering.Lock()
	s.connect, s.queue = c, s.members[n:]
	s.ordering.Unlock()
	return s.order(ctx, func(j *Job) *Order {
		own := c
		own.Wait = j.Member >= n
		return &Order{Connect: &own}
	})
}

// connectNext lets another member connect, now that one has begun with its last
// connection.
func (s *Swarm) connectNext() {
	s.ordering.Lock()
	defer s.ordering.Unlock()
	if len(s.queue) == 0 {
		return
	}
	// If that fails, the member has ended, and whoever reads from it says so.
	_ = s.queue[0].give(&Order{Connect: &s.connect})
	s.queue = s.queue[1:]
}

// Expect lets the connections count that a notice with a mark reaches.
func (s *Swarm) Expect(ctx context.Context, mark []byte) error {
	return s.order(ctx, func(*Job) *Order { return &Order{Expect: &Expect{Mark: mark}} })
}

// Rest ends the sending of heartbeats.
func (s *Swarm) Rest(ctx context.Context) error {
	return s.order(ctx, func(*Job) *Order { return &Order{Rest: true} })
}

// Load lets requests be sent. Active is how many connections of all members
// take part in a closed loop.
func (s *Swarm) Load(ctx context.Context, l Load) error {
	active := l.Active
	return s.order(ctx, func(j *Job) *Order {
		own := l
		// Connection number i is the member's if i modulo Members says so.
		own.Active = max(0, (active-j.Member+j.Members-1)/j.Members)
		return &Order{Load: &own}
	})
}

// Rate changes that of the load with one that runs.
func (s *Swarm) Rate(ctx context.Context, r Rate) error {
	return s.order(ctx, func(*Job) *Order { return &Order{Rate: &r} })
}

// stopTimeout is how long the members may take to end.
const stopTimeout = time.Minute

// Stop ends the members and with them all connections. The second time it does
// nothing.
func (s *Swarm) Stop() error {
	if s.stopped {
		return nil
	}
	s.stopped = true
	s.mu.Lock()
	for _, p := range s.members {
		p.stopping = true
	}
	s.mu.Unlock()
	for _, p := range s.members {
		p.stdin.Close()
	}
	kill := time.AfterFunc(stopTimeout, func() {
		for _, p := range s.members {
			_ = p.cmd.Process.Kill()
		}
	})
	defer kill.Stop()
	s.readers.Wait()
	var errs []error
	for _, p := range s.members {
		errs = append(errs, p.wait())
	}
	return errors.Join(errs...)
}

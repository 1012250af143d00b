package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/client"
	"github.com/skein-im/skein/internal/im"
)

// chat is one run.
type chat struct {
	cfg  ChatConfig
	id   uint64
	data *Dataset
	who  *accounts
	http *http.Client
	api  *client.API
	// routers is nil if there are none.
	routers *client.Routers
	// began is the origin of the run's clock.
	began time.Time

	devices []device
	// senders are the first devices of all users.
	senders []device
	// dialing bounds how many devices connect at a time.
	dialing chan struct{}
	// planned is how many messages there will be; 0: until over.
	planned uint64
	// over: no more messages are handed out.
	over   atomic.Bool
	failed *firstError

	acked, delivered, lateness *latencies
	progress                   progress
	refusal                    sync.Once
}

// maxDialing is how many devices connect at a time.
const maxDialing = 64

// Chat makes every user of a data set write to all their friends, and checks
// what arrives. Without an error, or with one that the context caused, there
// is a result; whether everything arrived is in its Good.
func Chat(ctx context.Context, cfg ChatConfig) (_ *ChatResult, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &chat{
		cfg: cfg, began: time.Now(), failed: newFirstError(), dialing: make(chan struct{}, maxDialing),
		acked: newLatencies(), delivered: newLatencies(), lateness: newLatencies(),
		progress: progress{out: cfg.Progress},
	}
	if c.id, err = newRunID(); err != nil {
		return nil, err
	}
	if c.data, err = NewDataset(cfg.Users, cfg.Friends, cfg.Seed); err != nil {
		return nil, err
	}
	stop, err := c.target(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	c.http = sharedHTTP(2 * cfg.Users * cfg.Devices)
	defer c.http.CloseIdleConnections()
	c.api = client.NewAPI(c.cfg.HTTP, "", c.http)
	if len(c.cfg.Routers) > 0 {
		if c.routers, err = client.NewRouters(c.cfg.Routers, c.http); err != nil {
			return nil, err
		}
	}
	if err := c.setUp(ctx); err != nil {
		return nil, err
	}
	return c.run(ctx)
}

// target starts a server unless there is one.
func (c *chat) target(ctx context.Context) (stop func() error, err error) {
	if c.cfg.Link != "" || c.cfg.HTTP != "" {
		return func() error { return nil }, nil
	}
	c.say("starting a server")
	srv, err := startServer(ctx, c.cfg.Program, c.cfg.Data, c.cfg.ServerArgs)
	if err != nil {
		return nil, err
	}
	if c.cfg.OperatorToken, err = srv.operatorToken(); err != nil {
		return nil, errors.Join(err, srv.stop())
	}
	c.cfg.ServerPID = srv.cmd.Process.Pid
	c.cfg.HTTP = "http://" + srv.HTTP
	c.cfg.Link = "tcp://" + srv.Link
	if c.cfg.Transport == WS {
		c.cfg.Link = "ws://" + srv.HTTP + linkPath
	}
	return srv.stop, nil
}

// setUp makes the users exist at the server, and their devices here.
func (c *chat) setUp(ctx context.Context) (err error) {
	began := time.Now()
	if c.cfg.OperatorToken != "" {
		c.who, err = provision(ctx, c.api.WithToken(c.cfg.OperatorToken), c.data, c.cfg.Devices)
	} else {
		c.say("registering %d users", c.cfg.Users)
		c.who, err = register(ctx, c.cfg.HTTP, c.http, c.data, c.cfg.Devices, c.id)
	}
	if err != nil {
		return err
	}
	c.say("%d users have %d friends in all, after %.1f s", c.cfg.Users, c.data.Links(), time.Since(began).Seconds())
	if c.cfg.Duration == 0 {
		c.planned = uint64(c.data.Links()) * uint64(c.cfg.Messages)
	}
	for user := 1; user <= c.cfg.Users; user++ {
		for n := range c.cfg.Devices {
			c.addDevice(user, n)
		}
	}
	return nil
}

func (c *chat) addDevice(user, n int) {
	var plan *schedule
	if n == 0 {
		friends := len(c.data.Friends[user-1])
		plan = newSchedule(friends, c.cfg.Messages, c.cfg.Duration > 0, newRand(c.cfg.Seed, uint64(user)<<8))
	}
	var d device
	if token := c.who.tokens[user-1][n]; c.cfg.Transport == HTTP {
		d = newHTTPDevice(c, user, token, plan)
	} else {
		d = newLinkDevice(c, user, token, plan)
	}
	c.devices = append(c.devices, d)
	if n == 0 {
		c.senders = append(c.senders, d)
	}
}

func (c *chat) newLedger(user int) *ledger {
	return newLedger(c.id, user, c.who.friendsOf(c.data, user), c.data.Friends[user-1])
}

// now is the run's clock, in nanoseconds.
func (c *chat) now() int64 { return int64(time.Since(c.began)) }

// stamp is that of a user's message to a friend, by place.
func (c *chat) stamp(user, friend int, ordinal uint32, due int64) stamp {
	return stamp{Run: c.id, From: uint32(user), To: uint32(c.data.Friends[user-1][friend]), Ordinal: ordinal, Due: due}
}

func (c *chat) say(format string, args ...any) { c.progress.say(format, args...) }

// refuse tells of the first send that was refused.
func (c *chat) refuse(user int, err *im.Error) {
	c.refusal.Do(func() { c.say("user %d: a send was refused: %v", user, err) })
}

// run lets the devices loose and collects what came of it.
func (c *chat) run(ctx context.Context) (*ChatResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	if err := c.connect(ctx, &tasks); err != nil {
		return nil, err
	}
	probed := c.probe()
	began, own, theirs := c.now(), ownCPU(), c.serverUsage()
	c.startSending(ctx, &tasks)
	err := c.watch(ctx)
	c.progress.done()
	res := &ChatResult{Config: c.cfg, Environment: newEnvironment(c.cfg.Version)}
	own, after, final := ownCPU()-own, c.serverUsage(), c.probe()
	if err == nil {
		// What would arrive a second time would do so about now.
		pause(ctx, settle)
	}
	cancel()
	tasks.Wait()
	c.collect(res, began)
	if n := float64(res.Acked); n > 0 {
		us := float64(time.Microsecond)
		res.ClientCPU = float64(own) / us / n
		res.ServerCPU = float64(max(0, after.cpu-theirs.cpu)) / us / n
	}
	res.ServerRSS, res.ServerPeakRSS = after.rss, after.peak
	res.Probe = final.since(probed)
	return res, err
}

// settle is how long a run waits for messages that should not come.
const settle = 300 * time.Millisecond

// connect starts the devices and waits until all are logged in.
func (c *chat) connect(ctx context.Context, tasks *sync.WaitGroup) error {
	c.say("connecting %d devices over %s", len(c.devices), c.cfg.Transport)
	ready := make(chan struct{}, len(c.devices))
	for _, d := range c.devices {
		tasks.Go(func() { d.run(ctx, func() { ready <- struct{}{} }) })
	}
	for range c.devices {
		select {
		case <-ready:
		case <-c.failed.set:
			return c.failed.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (c *chat) startSending(ctx context.Context, tasks *sync.WaitGroup) {
	c.say("sending")
	tasks.Go(func() { c.tick(ctx) })
	if c.cfg.Rate > 0 {
		tasks.Go(func() { c.pace(ctx) })
		return
	}
	for _, d := range c.senders {
		d.begin()
	}
}

// serverUsage is zero when the server's process is not known, or is gone.
func (c *chat) serverUsage() usage {
	if c.cfg.ServerPID == 0 {
		return usage{}
	}
	u, err := processUsage(c.cfg.ServerPID)
	if err != nil {
		return usage{}
	}
	return u
}

func (c *chat) probe() Probe {
	if c.cfg.Probe == nil {
		return Probe{}
	}
	return c.cfg.Probe()
}

// tally sums the devices' figures as they are now.
func (c *chat) tally() Tally {
	var t Tally
	for _, d := range c.devices {
		s := d.stats()
		t.Sent += s.sent.Load()
		t.Acked += s.acked.Load()
		t.Refused += s.refused.Load()
		t.Delivered += s.ledger.delivered.Load()
	}
	t.Expected = t.Sent * uint64(c.cfg.Devices)
	return t
}

// collect fills in what the devices know when all have stopped.
func (c *chat) collect(res *ChatResult, began int64) {
	res.Tally = c.tally()
	last := began
	for _, d := range c.devices {
		s := d.stats()
		last = max(last, s.lastAck.Load(), s.ledger.last.Load())
		res.Reconnects += s.reconnects.Load()
		res.Duplicated += s.ledger.duplicated
		res.Reordered += s.ledger.reordered
		res.Damaged += s.ledger.damaged
	}
	res.Lost = res.Expected - min(res.Expected, res.Delivered)
	res.Good = res.Tally.Good()
	if res.Seconds = time.Duration(last - began).Seconds(); res.Seconds > 0 {
		res.MsgsPerSec = float64(res.Acked) / res.Seconds
	}
	res.AckMS, res.DeliverMS = c.acked.percentiles(), c.delivered.percentiles()
	if c.cfg.Rate > 0 {
		late := c.lateness.percentiles()
		res.LatenessMS = &late
	}
}

// watch waits for the end of the run: everything has arrived, nothing arrives
// any more, something failed, or ctx ended.
func (c *chat) watch(ctx context.Context) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	began := time.Now()
	var last Tally
	moved := began
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.failed.set:
			return c.failed.err
		case <-ticker.C:
		}
		now := c.tally()
		c.progress.showTally(&now, c.planned, time.Since(began))
		if c.arrived(&now, time.Since(began)) {
			return nil
		}
		if now != last {
			last, moved = now, time.Now()
		}
		if time.Since(moved) > c.cfg.Stall {
			return fmt.Errorf("nothing has arrived for %v", c.cfg.Stall)
		}
	}
}

// watchEvery is how often the figures are summed.
const watchEvery = 50 * time.Millisecond

// enough reports whether somebody has asked for the end of a run of some duration.
func (c *chat) enough() bool {
	select {
	case <-c.cfg.Enough:
		return true
	default:
		return false
	}
}

// arrived reports whether all messages have been sent, answered and delivered.
func (c *chat) arrived(t *Tally, elapsed time.Duration) bool {
	if c.planned == 0 {
		if elapsed < c.cfg.Duration && !c.enough() {
			return false
		}
		if !c.over.Swap(true) {
			// Whoever is just handing one out has finished after this.
			for _, d := range c.senders {
				d.push()
			}
			return false
		}
	}
	all := t.Sent
	if c.planned > 0 {
		all = c.planned
	}
	return t.Sent == all && t.Acked+t.Refused == all && t.Delivered >= t.Expected
}

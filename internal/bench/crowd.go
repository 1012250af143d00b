package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/bench/swarm"
	"github.com/skein-im/skein/internal/child"
	"github.com/skein-im/skein/internal/im"
)

// CrowdConfig is what runs with a swarm have in common.
type CrowdConfig struct {
	Target
	// Conns is how many connections there are, each of a user of its own.
	Conns int `json:"conns_asked"`
	// Procs is how many processes the load generator has; 0: as many as it
	// needs.
	Procs int    `json:"procs,omitempty"`
	Seed  uint64 `json:"seed"`
	// Transport is TCP or WS.
	Transport string `json:"transport"`
	// Provisioned: the users exist already, from a run with the same seed
	// and no fewer connections.
	Provisioned bool `json:"provisioned,omitempty"`
	// Ramp is how many connections are opened a second; 0: as many as
	// Window allows, which is how many may be on their way to Welcome.
	Ramp   float64 `json:"ramp,omitempty"`
	Window int     `json:"window"`
	// RampTimeout is how long opening them may take.
	RampTimeout time.Duration `json:"-"`
	// AnswerTimeout is how long after the last request, heartbeat or
	// message what is outstanding may take.
	AnswerTimeout time.Duration `json:"-"`
	// Heartbeat is the interval that the devices ask for.
	Heartbeat time.Duration `json:"heartbeat_ns"`
	// Progress gets words on what happens, and a line that changes unless
	// Still is set; nil: nobody does.
	Progress io.Writer `json:"-"`
	Still    bool      `json:"-"`
	// Version is that of the program.
	Version string `json:"-"`
}

// maxCrowd is the number of identifiers that a crowd has.
const maxCrowd = 1 << 28

func (c *CrowdConfig) validate() error {
	switch {
	case c.Conns < 2 || c.Conns > maxCrowd:
		return fmt.Errorf("conns: between 2 and %d", maxCrowd)
	case c.Procs < 0 || c.Ramp < 0:
		return errors.New("procs and ramp are not negative")
	case c.Window < 1:
		return errors.New("window: at least 1")
	case c.RampTimeout <= 0 || c.AnswerTimeout <= 0:
		return errors.New("ramp-timeout and answer-timeout: longer than nothing")
	case c.Heartbeat < time.Second || c.Heartbeat > time.Hour:
		return errors.New("heartbeat: between 1s and 1h")
	}
	if c.Transport != TCP && c.Transport != WS {
		return errors.New("transport: one of tcp, ws")
	}
	return c.Target.validate()
}

// crowd is a swarm and the server it is let loose on.
type crowd struct {
	cfg      CrowdConfig
	first    im.UserID
	progress progress
	target   *target
	swarm    *swarm.Swarm
	words    tail
	// provisioned is how long making the users took.
	provisioned time.Duration
}

// gather makes server, users and swarm ready. Nobody is connected yet. shape
// sets what the swarm's devices do.
func gather(ctx context.Context, cfg CrowdConfig, first im.UserID, shape func(*swarm.Config)) (_ *crowd, err error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	c := &crowd{cfg: cfg, first: first, progress: progress{out: cfg.Progress, still: cfg.Still}}
	limits, err := swarm.SystemLimits()
	if err != nil {
		return nil, err
	}
	if cfg.own() {
		c.say("starting a server")
	}
	if c.target, err = openTarget(ctx, &cfg.Target, cfg.Conns); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.target.close())
		}
	}()
	conf := swarm.Config{
		Program: c.target.Program, Args: SwarmArgs(), Attr: child.Attributes(nil), Stderr: &c.words,
		Conns: cfg.Conns, Procs: cfg.Procs, Limits: limits, First: first, Seed: cfg.Seed, Heartbeat: cfg.Heartbeat,
		WebSocket: cfg.Transport == WS,
	}
	shape(&conf)
	if !cfg.Provisioned {
		if err := c.provision(ctx, &conf); err != nil {
			return nil, err
		}
	}
	conf.Targets, conf.TLS, conf.ServerName, conf.CA = c.target.addrs, c.target.TLS, c.target.name, c.target.CA
	if c.swarm, err = swarm.Start(ctx, conf); err != nil {
		return nil, fmt.Errorf("%w%s", err, c.words.quote())
	}
	return c, nil
}

// SwarmArgs are the arguments with which the program runs a process of the
// load generator.
func SwarmArgs() []string { return []string{"bench", "swarm"} }

// disperse ends the swarm and then the server.
func (c *crowd) disperse() error {
	c.progress.done()
	return errors.Join(c.swarm.Stop(), c.target.close())
}

func (c *crowd) say(format string, args ...any) { c.progress.say(format, args...) }

// How many requests to make users are under way at a time, and how many users
// each has.
const (
	crowdProvisioning  = 4
	crowdProvisionSize = 1000
)

// provision makes the users exist, and those friends who are to have to do with
// each other. The server starts anew afterwards.
func (c *crowd) provision(ctx context.Context, conf *swarm.Config) error {
	began := time.Now()
	friends, all := friendships(conf), c.cfg.Conns+unconnected(conf)
	var done atomic.Uint64
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(crowdProvisioning)
	for from := 0; from < all && gctx.Err() == nil; from += crowdProvisionSize {
		group.Go(func() error {
			users := c.users(from, min(from+crowdProvisionSize, all), friends)
			err := callProvision(gctx, c.target.api, users)
			n := done.Add(uint64(len(users)))
			c.progress.show(n, func(speed float64) string {
				return fmt.Sprintf("%6.1f s  %d of %d users made, %.0f/s", time.Since(began).Seconds(), n, all, speed)
			})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("provisioning users: %w", err)
	}
	c.provisioned = time.Since(began)
	c.say("%d users made after %.1f s", all, c.provisioned.Seconds())
	return c.target.restart(ctx)
}

// friendships says who the friends of a connection's user are, by number.
func friendships(conf *swarm.Config) func(number int) []int {
	switch {
	case conf.Sends:
		return func(number int) []int { return []int{int(swarm.Friend(0, im.UserID(number)))} }
	case conf.Money:
		return func(number int) []int { return swarm.FriendsAmong(conf.Senders, number) }
	}
	return func(int) []int { return nil }
}

// unconnected is how many users have no connection: who pays for campaigns.
func unconnected(conf *swarm.Config) int {
	if conf.Money {
		return 1
	}
	return 0
}

// users are those of connections from one number to before another.
func (c *crowd) users(from, to int, friends func(int) []int) []*skeinv1.ProvisionUser {
	list := make([]*skeinv1.ProvisionUser, 0, to-from)
	for i := from; i < to; i++ {
		user := c.first + im.UserID(i)
		hash := swarm.Secret(c.cfg.Seed, user).Hash()
		u := &skeinv1.ProvisionUser{User: uint64(user), TokenHashes: [][]byte{hash[:]}}
		for _, f := range friends(i) {
			u.Friends = append(u.Friends, uint64(c.first)+uint64(f))
		}
		list = append(list, u)
	}
	return list
}

// until waits for a condition, but not longer than atMost: then ok is false.
func (c *crowd) until(ctx context.Context, atMost time.Duration, cond func(*swarm.Status) bool) (ok bool, err error) {
	limited, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	err = c.swarm.Wait(limited, cond)
	switch {
	case err == nil:
		return true, nil
	case limited.Err() != nil && ctx.Err() == nil:
		return false, nil
	}
	return false, fmt.Errorf("%w%s", err, c.words.quote())
}

// lead is how long before its time an order is given: long enough to reach all
// processes.
func (c *crowd) lead() int64 {
	return int64(50*time.Millisecond + time.Duration(c.swarm.Processes())*5*time.Millisecond)
}

// ramp is what came of opening the connections.
type ramp struct {
	conns   int
	seconds float64
	logins  Percentiles
}

// connect opens all connections. That not all came about is no error.
func (c *crowd) connect(ctx context.Context) (*ramp, error) {
	c.say("opening %d connections from %d processes", c.cfg.Conns, c.swarm.Processes())
	start := c.swarm.Now() + c.lead()
	if err := c.swarm.Connect(ctx, start, c.cfg.Ramp, c.cfg.Window); err != nil {
		return nil, err
	}
	_, err := c.until(ctx, c.cfg.RampTimeout, func(s *swarm.Status) bool {
		c.progress.show(s.Logins, func(speed float64) string {
			return fmt.Sprintf("%6.1f s  %d of %d connected, %.0f/s, %d attempts repeated",
				float64(c.swarm.Now()-start)/1e9, s.Connected, c.cfg.Conns, speed, s.Retries)
		})
		return s.Connected+s.Failed == c.cfg.Conns
	})
	if err != nil {
		return nil, err
	}
	s := c.swarm.Status()
	r := &ramp{conns: s.Connected, seconds: max(0, float64(s.LastLogin-start)/1e9)}
	books, err := c.swarm.Collect(ctx)
	if err != nil {
		return nil, err
	}
	r.logins = percentilesOf(books.Logins)
	c.say("%d connected after %.1f s", r.conns, r.seconds)
	return r, nil
}

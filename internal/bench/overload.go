package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/bench/swarm"
	"github.com/skein-im/skein/internal/im"
)

// OverloadConfig is what Overload is asked to do.
type OverloadConfig struct {
	CrowdConfig
	// What is swarm.Sends or swarm.Pings.
	What string `json:"what"`
	Body int    `json:"body"`
	// SendWindow is how many requests of a device may be unanswered.
	SendWindow int `json:"send_window"`
	// Capacity is what the factors are of, in requests per second; 0: it is
	// measured.
	Capacity float64 `json:"capacity_given,omitempty"`
	// Factors are the loads to offer, each for Step.
	Factors []float64     `json:"factors"`
	Step    time.Duration `json:"step_ns"`
}

// firstOverloaded is the user of the first connection.
const firstOverloaded im.UserID = 1 << 31

// DefaultOverloadConfig is the run of make bench.
func DefaultOverloadConfig() OverloadConfig {
	return OverloadConfig{
		CrowdConfig: CrowdConfig{
			Conns: 4000, Seed: 1, Window: 4096, Transport: TCP, RampTimeout: time.Minute, AnswerTimeout: 10 * time.Second, Heartbeat: 60 * time.Second,
		},
		What: swarm.Sends, Body: 256, SendWindow: 16, Factors: []float64{0.5, 1, 2, 4}, Step: 10 * time.Second,
	}
}

// Validate reports the first setting that cannot work.
func (c *OverloadConfig) Validate() error {
	switch {
	case c.What != swarm.Sends && c.What != swarm.Pings:
		return fmt.Errorf("what: one of %s, %s", swarm.Sends, swarm.Pings)
	case c.Body < swarm.MinBody || c.Body > im.MaxBody:
		return fmt.Errorf("body: between %d and %d bytes", swarm.MinBody, im.MaxBody)
	case c.SendWindow < 1 || c.SendWindow > im.SendWindow:
		return fmt.Errorf("send-window: between 1 and %d", im.SendWindow)
	case c.Conns%2 != 0:
		return errors.New("conns: an even number, since two are friends")
	case len(c.Factors) == 0 || slices.Min(c.Factors) <= 0 || slices.Max(c.Factors) > 100:
		return errors.New("factors: above 0, up to 100")
	case c.Step < 100*time.Millisecond:
		return errors.New("seconds: at least 100ms for each load")
	case c.Capacity < 0 || c.Capacity > 1e7:
		return errors.New("capacity: between 0 and 10,000,000 requests/s")
	}
	return c.validate()
}

// Overload offers a server more and more, and finds out what becomes of it.
// Without an error, or with one of stopping afterwards, there is a result;
// whether everything that was admitted arrived is in its Good.
func Overload(ctx context.Context, cfg OverloadConfig) (_ *OverloadResult, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c, err := gather(ctx, cfg.CrowdConfig, firstOverloaded, func(s *swarm.Config) {
		s.Sends, s.Window, s.Body = cfg.What == swarm.Sends, cfg.SendWindow, cfg.Body
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.disperse()) }()
	run := &overloading{crowd: c, cfg: cfg, res: newOverloadResult(c, cfg)}
	for _, phase := range []func(context.Context) error{run.open, run.capacity, run.steps, run.verify} {
		if err := phase(ctx); err != nil {
			return nil, err
		}
		if run.res.Conns < cfg.Conns {
			break
		}
	}
	run.finish()
	return run.res, nil
}

// overloading is a run of Overload.
type overloading struct {
	*crowd
	cfg    OverloadConfig
	res    *OverloadResult
	before []counters
}

// open reads the server's books and opens the connections.
func (r *overloading) open(ctx context.Context) (err error) {
	if r.cfg.What == swarm.Sends {
		if r.before, err = r.counters(ctx); err != nil {
			return err
		}
	}
	ramp, err := r.connect(ctx)
	if err == nil {
		r.res.Conns = ramp.conns
	}
	return err
}

// closedLoads are the numbers of connections that have one request each
// unanswered, from few to all. More requests of a connection would share work
// that those of an open loop, spread evenly, do not share.
func closedLoads(conns int) []int {
	var loads []int
	for share := 16; share >= 1; share /= 2 {
		loads = append(loads, max(2, conns/share))
	}
	return loads
}

const (
	// enough is by what part more a load must bring to count as better;
	// patience is how many that are not may follow each other.
	enough   = 1.05
	patience = 3
	// closedPart is the part of OverloadConfig.Step that a closed load
	// lasts.
	closedPart = 4
)

// capacity finds how much the server does when each request follows an answer.
func (r *overloading) capacity(ctx context.Context) error {
	if r.cfg.Capacity > 0 {
		r.res.Capacity = r.cfg.Capacity
		return nil
	}
	worse, seconds := 0, r.cfg.Step.Seconds()/closedPart
	for _, active := range closedLoads(r.cfg.Conns) {
		r.say("measuring the capacity: %d connections with one request each", active)
		l, err := r.load(ctx, swarm.Load{What: r.cfg.What, Seconds: seconds, Active: active, Depth: 1})
		if err != nil {
			return err
		}
		step := newLoadStep(l, seconds)
		r.res.Closed = append(r.res.Closed, ClosedStep{Active: active, LoadStep: step})
		if worse++; step.Goodput > r.res.Capacity*enough {
			worse = 0
		}
		r.res.Capacity = max(r.res.Capacity, step.Goodput)
		if err := r.settle(ctx); err != nil {
			return err
		}
		if worse == patience {
			break
		}
	}
	if r.res.Capacity == 0 {
		return errors.New("the server has answered no request")
	}
	r.say("the capacity is %.0f requests/s", r.res.Capacity)
	return nil
}

// steps offers one load after the other.
func (r *overloading) steps(ctx context.Context) error {
	for _, factor := range r.cfg.Factors {
		rate := factor * r.res.Capacity
		r.say("offering %g times the capacity, %.0f requests/s", factor, rate)
		l, err := r.load(ctx, swarm.Load{
			What: r.cfg.What, Seconds: r.cfg.Step.Seconds(), Rate: rate, Window: r.cfg.SendWindow,
		})
		if err != nil {
			return err
		}
		r.res.Steps = append(r.res.Steps, OverloadStep{Factor: factor, LoadStep: newLoadStep(l, r.cfg.Step.Seconds())})
		if err := r.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// restPart is the part of OverloadConfig.Step that a server gets to recover
// from a load.
const restPart = 10

// settle waits until what was admitted has been received, and a little more.
func (r *overloading) settle(ctx context.Context) error {
	_, err := r.until(ctx, r.cfg.AnswerTimeout, func(s *swarm.Status) bool { return s.Books.Received >= s.Books.Admitted })
	if err == nil && !pause(ctx, r.cfg.Step/restPart) {
		err = context.Cause(ctx)
	}
	return err
}

func (r *overloading) finish() {
	s := r.swarm.Status()
	r.res.Lost, r.res.Wrong, r.res.Errors = s.Lost, s.Wrong, s.Errors
	r.res.conclude()
}

package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/bench/swarm"
	"github.com/skein-im/skein/internal/im"
)

// ConnectConfig is what Connect is asked to do.
type ConnectConfig struct {
	CrowdConfig
	// Hold is how long the connections are to last, once all are open.
	Hold time.Duration `json:"hold_ns"`
	// Rate, when set, has small requests sent, so many a second whatever
	// the server does, for RequestsFor.
	Rate        float64       `json:"rate,omitempty"`
	RequestsFor time.Duration `json:"requests_for_ns,omitempty"`
	// NoPush leaves out the notice to everyone.
	NoPush bool `json:"no_push,omitempty"`
	// PushTimeout is how long the notice may take to the last connection.
	PushTimeout time.Duration `json:"-"`
}

// firstConnected is the user of the first connection; provisioned users below
// are those of data sets.
const firstConnected im.UserID = 1 << 30

// DefaultConnectConfig is the run of make bench.
func DefaultConnectConfig() ConnectConfig {
	return ConnectConfig{
		CrowdConfig: CrowdConfig{
			Conns: 10_000, Seed: 1, Window: 4096, Transport: TCP, RampTimeout: 5 * time.Minute, AnswerTimeout: 10 * time.Second, Heartbeat: 30 * time.Second,
		},
		Hold: 60 * time.Second, RequestsFor: 20 * time.Second, PushTimeout: 2 * time.Minute,
	}
}

// Validate reports the first setting that cannot work.
func (c *ConnectConfig) Validate() error {
	switch {
	case c.Hold < 0:
		return errors.New("hold: not negative")
	case c.Rate < 0 || c.Rate > 1e7:
		return errors.New("rate: between 0 and 10,000,000 a second")
	case c.Rate > 0 && c.RequestsFor < 100*time.Millisecond:
		return errors.New("requests-for: at least 100ms")
	case c.PushTimeout <= 0:
		return errors.New("push-timeout: longer than nothing")
	}
	return c.validate()
}

// Connect opens very many connections, holds them, sends requests on them and
// pushes to all of them. Without an error, or with one of stopping afterwards,
// there is a result; whether every connection, answer and push was there is in
// its Good.
func Connect(ctx context.Context, cfg ConnectConfig) (_ *ConnectResult, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c, err := gather(ctx, cfg.CrowdConfig, firstConnected, func(*swarm.Config) {})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.disperse()) }()
	run := &connecting{crowd: c, cfg: cfg, res: newConnectResult(c, cfg)}
	for _, phase := range []func(context.Context) error{run.ramp, run.hold, run.requests, run.push, run.rest} {
		if err := phase(ctx); err != nil {
			return nil, err
		}
		if run.res.Conns < cfg.Conns {
			// The figures of what follows would be of something else.
			break
		}
	}
	run.finish()
	return run.res, nil
}

// connecting is a run of Connect.
type connecting struct {
	*crowd
	cfg    ConnectConfig
	res    *ConnectResult
	before serverUsage
}

func (r *connecting) ramp(ctx context.Context) error {
	r.before = readServer(r.target.ServerPIDs)
	ramp, err := r.connect(ctx)
	if err != nil {
		return err
	}
	r.res.Conns, r.res.ConnectSeconds, r.res.LoginMS = ramp.conns, ramp.seconds, ramp.logins
	if ramp.seconds > 0 {
		r.res.ConnectPerSec = float64(ramp.conns) / ramp.seconds
	}
	return nil
}

func (r *connecting) hold(ctx context.Context) error {
	r.say("holding them for %v", r.cfg.Hold)
	end := r.swarm.Now() + int64(r.cfg.Hold)
	_, err := r.until(ctx, r.cfg.Hold, func(s *swarm.Status) bool {
		r.progress.show(s.BeatsSent, func(speed float64) string {
			return fmt.Sprintf("%6.1f s left  %d connected, %d lost, %.0f heartbeats/s, %d missed",
				float64(end-r.swarm.Now())/1e9, s.Connected, s.Lost, speed, s.BeatsMissed)
		})
		return false
	})
	after := readServer(r.target.ServerPIDs)
	r.res.measure(&r.before, &after)
	return err
}

func (r *connecting) requests(ctx context.Context) error {
	if r.cfg.Rate == 0 {
		return nil
	}
	r.say("sending %.0f requests/s for %v", r.cfg.Rate, r.cfg.RequestsFor)
	l, err := r.load(ctx, swarm.Load{What: swarm.Pings, Rate: r.cfg.Rate, Seconds: r.cfg.RequestsFor.Seconds()})
	if err != nil {
		return err
	}
	r.res.answered(l, r.cfg.RequestsFor.Seconds())
	return nil
}

// markSize is how many random bytes tell a notice from all others.
const markSize = 16

func (r *connecting) push(ctx context.Context) error {
	if r.cfg.NoPush {
		return nil
	}
	mark := make([]byte, markSize)
	if _, err := rand.Read(mark); err != nil {
		return err
	}
	if err := r.swarm.Expect(ctx, mark); err != nil {
		return err
	}
	r.say("pushing a notice to all of them")
	began := r.swarm.Now()
	if err := r.notifyAll(ctx, mark); err != nil {
		return err
	}
	s := r.swarm.Status()
	if r.res.Pushed = s.Noticed; s.Noticed > 0 {
		r.res.PushSeconds = float64(s.LastNotice-began) / 1e9
		r.res.PushPerSec = float64(s.Noticed) / r.res.PushSeconds
	}
	return nil
}

// notifyAll has the server send the notice, and waits until it has reached
// those who are there: connections that have been lost and are not back get
// nothing. The server's answer may take as long as the push. That it refuses
// is for the result to tell.
func (r *connecting) notifyAll(ctx context.Context, mark []byte) error {
	there := min(r.cfg.Conns, r.swarm.Status().Connected)
	var answer error
	var refused atomic.Bool
	var calling sync.WaitGroup
	defer calling.Wait()
	nctx, cancel := context.WithTimeout(ctx, r.cfg.PushTimeout)
	defer cancel()
	calling.Go(func() {
		answer = notify(nctx, r.target.api, mark)
		refused.Store(answer != nil)
	})
	_, err := r.until(ctx, r.cfg.PushTimeout, func(s *swarm.Status) bool { return s.Noticed >= there || refused.Load() })
	if err != nil {
		return err
	}
	calling.Wait()
	if answer != nil {
		r.res.fault("the push: " + answer.Error())
	}
	return nil
}

// rest ends the heartbeats and waits for the last answers.
func (r *connecting) rest(ctx context.Context) error {
	if err := r.swarm.Rest(ctx); err != nil {
		return err
	}
	_, err := r.until(ctx, r.cfg.AnswerTimeout, func(s *swarm.Status) bool { return s.BeatsOpen == 0 })
	return err
}

func (r *connecting) finish() {
	s := r.swarm.Status()
	r.res.Lost, r.res.Retries = s.Lost, s.Retries
	r.res.Heartbeat = Heartbeats{
		IntervalMS: s.HeartbeatMS, Sent: s.BeatsSent, Missed: s.BeatsMissed + uint64(s.BeatsOpen),
	}
	r.res.Wrong, r.res.PushedAgain = s.Wrong, s.NoticedAgain
	for kind, n := range s.Errors {
		r.res.Errors[kind] += n
	}
	r.res.Good = r.res.good()
}

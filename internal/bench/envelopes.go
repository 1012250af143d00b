package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/skein-im/skein/internal/bench/swarm"
	"github.com/skein-im/skein/internal/im"
)

// EnvelopesConfig is what Envelopes is asked to do.
type EnvelopesConfig struct {
	CrowdConfig
	// QPS is how many shakes a second the first round has, SecondQPS the
	// second; 0: twice as many. Rounds is 1 or 2.
	QPS       float64 `json:"qps"`
	SecondQPS float64 `json:"second_qps,omitempty"`
	Rounds    int     `json:"rounds"`
	// Issue is how many envelopes a round's campaign has, IssueRate how
	// many it gives out a second. Tail is how much longer all shake.
	Issue     int           `json:"issue"`
	IssueRate int           `json:"issue_rate"`
	Tail      time.Duration `json:"tail_ns"`
	// Send is how many envelopes a round has sent to friends, SendRate how
	// many a second, Senders by how many users; fewer if there are not four
	// times as many connections.
	Send     int     `json:"send"`
	SendRate float64 `json:"send_rate"`
	Senders  int     `json:"senders"`
	// Cents is what a share has on average; Equal: exactly.
	Cents int64 `json:"cents"`
	Equal bool  `json:"equal,omitempty"`
	// Control is where the rate can be changed over HTTP while shakes are
	// sent; "": nowhere.
	Control string `json:"-"`
	// NoAudit leaves out the audit of the own server's store.
	NoAudit bool `json:"no_audit,omitempty"`

	// lead is how long before its start a campaign is made, rest how long
	// after the last shake it ends.
	lead, rest time.Duration
}

// firstEnvelopes is the user of the first connection.
const firstEnvelopes im.UserID = 3 << 30

// DefaultEnvelopesConfig has the figures of the red envelope article.
func DefaultEnvelopesConfig() EnvelopesConfig {
	return EnvelopesConfig{
		CrowdConfig: CrowdConfig{
			Conns: 10_000, Seed: 1, Window: 4096, Transport: TCP, RampTimeout: 5 * time.Minute, AnswerTimeout: 30 * time.Second, Heartbeat: 60 * time.Second,
		},
		QPS: 30_000, Rounds: 2, Issue: 40_000, IssueRate: 200, Tail: 5 * time.Second,
		Send: 20_000, SendRate: 200, Senders: 1000, Cents: 100, Control: "127.0.0.1:0",
		lead: 2 * time.Second, rest: time.Second,
	}
}

const (
	maxRate       = 1e7
	maxEnvelopes  = 10_000_000
	maxShareCents = 1_000_000
)

// Validate reports the first setting that cannot work.
func (c *EnvelopesConfig) Validate() error {
	switch {
	case c.Conns <= swarm.Friends:
		return fmt.Errorf("conns: at least %d, since a sender has %d friends", swarm.Friends+1, swarm.Friends)
	case c.Issue < 0 || c.Issue > maxEnvelopes || c.Send < 0 || c.Send > maxEnvelopes || c.Issue+c.Send == 0:
		return fmt.Errorf("issue and send: up to %d, and not both 0", maxEnvelopes)
	case c.Issue > 0 && (!(c.QPS > 0) || c.QPS > maxRate || c.SecondQPS < 0 || c.SecondQPS > maxRate):
		return fmt.Errorf("qps and second-qps: up to %g shakes/s", float64(maxRate))
	case c.Rounds != 1 && c.Rounds != 2:
		return errors.New("rounds: 1 or 2")
	case c.Issue > 0 && (c.IssueRate < 1 || c.IssueRate > im.MaxRate):
		return fmt.Errorf("issue-rate: between 1 and %d envelopes/s", im.MaxRate)
	case c.Send > 0 && (!(c.SendRate > 0) || c.SendRate > maxRate):
		return fmt.Errorf("send-rate: above 0, up to %g envelopes/s", float64(maxRate))
	case c.Senders < 1:
		return errors.New("senders: at least 1")
	case c.Cents < 1 || c.Cents > maxShareCents:
		return fmt.Errorf("cents: between 1 and %d", maxShareCents)
	case c.Tail < 0:
		return errors.New("tail: not negative")
	}
	return c.validate()
}

// rate is how many shakes a second a round has.
func (c *EnvelopesConfig) rate(round int) float64 {
	switch {
	case round == 0:
		return c.QPS
	case c.SecondQPS > 0:
		return c.SecondQPS
	}
	return 2 * c.QPS
}

func (c *EnvelopesConfig) rule() im.SplitRule {
	if c.Equal {
		return im.SplitEqual
	}
	return im.SplitRandom
}

// issuing is for how long a campaign gives out envelopes, shaking for how long
// a round shakes, sending for how long it sends.
func (c *EnvelopesConfig) issuing() float64 { return float64(c.Issue) / float64(c.IssueRate) }
func (c *EnvelopesConfig) shaking() float64 { return c.issuing() + c.Tail.Seconds() }
func (c *EnvelopesConfig) sending() float64 { return float64(c.Send) / c.SendRate }

// Envelopes lets a crowd shake for envelopes, then send and open some, and
// compares everybody's books in the end. Without an error, or with one of
// stopping afterwards, there is a result; whether nothing was lost and all
// books agree is in its Good.
func Envelopes(ctx context.Context, cfg EnvelopesConfig) (_ *EnvelopesResult, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Senders = min(cfg.Senders, cfg.Conns/(swarm.Friends+1))
	run := &enveloping{cfg: cfg, run: rand.Text()[:12]}
	run.crowd, err = gather(ctx, cfg.CrowdConfig, firstEnvelopes, func(s *swarm.Config) {
		s.Money, s.Senders, s.Run = true, cfg.Senders, run.run
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, run.disperse()) }()
	run.res = newEnvelopesResult(run)
	if cfg.Control != "" {
		if run.control, err = startControl(ctx, cfg.Control, run.status); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, run.control.stop()) }()
		run.say("POST %s/rate changes how many shakes are sent, like {\"qps\": 1000}; GET %[1]s/status", run.control.url)
	}
	if err := run.all(ctx); err != nil {
		return nil, err
	}
	return run.res, nil
}

// enveloping is a run of Envelopes.
type enveloping struct {
	*crowd
	cfg     EnvelopesConfig
	res     *EnvelopesResult
	control *control
	// run is in all keys and references, so that they are of this run.
	run string
	// sent are the envelopes of all rounds.
	sent []swarm.Envelope
}

// all is the run from the first cent to the audit.
func (r *enveloping) all(ctx context.Context) error {
	if err := r.fund(ctx); err != nil {
		return err
	}
	ramp, err := r.connect(ctx)
	if err != nil {
		return err
	}
	r.res.Conns, r.res.ConnectSeconds = ramp.conns, ramp.seconds
	if ramp.conns < r.cfg.Conns {
		// The figures of what follows would be of something else.
		r.res.finish(r.swarm.Status(), []string{"not all connections came about"})
		return nil
	}
	for i := range r.cfg.Rounds {
		if err := r.round(ctx, i); err != nil {
			return err
		}
	}
	problems, err := r.books(ctx)
	if err != nil {
		return err
	}
	r.res.finish(r.swarm.Status(), problems)
	return r.audit(ctx)
}

// round shakes, and then sends.
func (r *enveloping) round(ctx context.Context, i int) error {
	round := &EnvelopesRound{}
	r.res.Rounds = append(r.res.Rounds, round)
	if r.cfg.Issue > 0 {
		if err := r.shakes(ctx, round, r.cfg.rate(i)); err != nil {
			return err
		}
	}
	if r.cfg.Send > 0 {
		return r.envelopes(ctx, round)
	}
	return nil
}

package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/skein-im/skein/internal/bench/swarm"
)

// loaded is what came of a load. CPU times are of the gateways, of all the
// server's processes, and of the load generator.
type loaded struct {
	swarm.LoadStatus
	latency, lateness                Percentiles
	books                            *swarm.Collection
	gatewayCPU, serverCPU, clientCPU time.Duration
}

// load lets requests be sent and waits until the last is answered, or no more
// is to be hoped for.
func (c *crowd) load(ctx context.Context, l swarm.Load) (*loaded, error) {
	l.Start = c.swarm.Now() + c.lead()
	return c.loadFrom(ctx, l, func(*swarm.Status) {}, func(*swarm.Status) bool { return true })
}

// loadFrom is load with a start. It shows each status, and waits until the last
// one is settled, too.
func (c *crowd) loadFrom(ctx context.Context, l swarm.Load, each func(*swarm.Status), settled func(*swarm.Status) bool) (*loaded, error) {
	if err := c.swarm.Load(ctx, l); err != nil {
		return nil, err
	}
	cpu, server := c.swarm.Status().CPU, readServer(c.target.ServerPIDs)
	until, seconds := time.Duration(l.Start-c.swarm.Now()), time.Duration(l.Seconds*float64(time.Second))
	watch := func(s *swarm.Status) {
		c.progress.show(s.Load.Answered, func(speed float64) string {
			return fmt.Sprintf("%6.1f s  %d due, %d answered, %.0f/s, %d shed",
				float64(c.swarm.Now()-l.Start)/1e9, s.Load.Due, s.Load.Answered, speed, s.Load.Shed+s.Load.Held)
		})
	}
	for _, wait := range []struct {
		atMost time.Duration
		over   func(*swarm.Status) bool
	}{
		{until + 2*seconds + c.cfg.AnswerTimeout, func(s *swarm.Status) bool { return s.Load.Running == 0 }},
		{c.cfg.AnswerTimeout, func(s *swarm.Status) bool { return s.Load.Open == 0 && settled(s) }},
	} {
		if _, err := c.until(ctx, wait.atMost, func(s *swarm.Status) bool {
			watch(s)
			each(s)
			return wait.over(s)
		}); err != nil {
			return nil, err
		}
	}
	after := readServer(c.target.ServerPIDs)
	books, err := c.swarm.Collect(ctx)
	if err != nil {
		return nil, err
	}
	s := c.swarm.Status()
	return &loaded{
		LoadStatus: s.Load, latency: percentilesOf(books.Latency), lateness: percentilesOf(books.Lateness), books: books,
		gatewayCPU: after.gateways.cpu - server.gateways.cpu, serverCPU: after.all.cpu - server.all.cpu,
		clientCPU: time.Duration(s.CPU - cpu),
	}, nil
}

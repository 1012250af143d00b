package monitor

import (
	"context"
	"errors"
	"time"

	dto "github.com/prometheus/client_model/go"
)

const (
	// slot is how often pulls are handed out: they are spread over the second.
	slot = 50 * time.Millisecond
	// maxRate is how many pulls a second there are at most, together.
	maxRate = 250
	// pullers is how many pulls may be under way.
	pullers = 64
	// mostPatience is for how long a target that does not answer is left
	// alone: after the first failures the pause doubles.
	mostPatience = 8 * time.Second
	// gone is after how long without an answer the last values of a target
	// are dropped.
	gone = time.Minute
)

// puller asks targets in turn, at a pace that does not depend on them.
type puller struct {
	fetcher *fetcher
	jobs    chan *node
	// credit is how many pulls are due, next whose turn it is.
	credit float64
	next   int
	// late counts turns of targets whose last pull was not over, or for
	// which there was no puller.
	late uint64
}

// pauseFor is how far apart the pulls of one target are.
func pauseFor(targets int) time.Duration {
	return max(time.Second, time.Duration(targets)*time.Second/maxRate)
}

// due are the nodes to be asked in a slot.
func (p *puller) due(nodes []*node, at time.Time) {
	if len(nodes) == 0 {
		return
	}
	pause := pauseFor(len(nodes))
	p.credit += float64(len(nodes)) * float64(slot) / float64(pause)
	for ; p.credit >= 1; p.credit-- {
		p.next = (p.next + 1) % len(nodes)
		p.ask(nodes[p.next], at)
	}
}

func (p *puller) ask(n *node, at time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case at.Before(n.dueAt):
		return
	case n.busy:
		p.late++
		return
	}
	select {
	case p.jobs <- n:
		n.busy = true
	default:
		p.late++
	}
}

// run pulls what it is given until ctx ends.
func (p *puller) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-p.jobs:
			p.pull(ctx, n)
		}
	}
}

func (p *puller) pull(ctx context.Context, n *node) {
	n.mu.Lock()
	target := n.target
	n.mu.Unlock()
	began := time.Now()
	err := p.fetcher.fetch(ctx, &target, func(families []*dto.MetricFamily) {
		n.take(families, began, time.Since(began))
	})
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		n.failed(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy = false
	if n.failures > 1 {
		n.dueAt = began.Add(min(mostPatience, time.Second<<min(n.failures-1, 10)))
	} else {
		n.dueAt = time.Time{}
	}
	if time.Since(n.answered) > gone {
		clear(n.values)
		n.picked = nil
	}
}

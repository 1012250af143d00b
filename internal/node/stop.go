package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/route"
)

// stopTimeout bounds each step of a stop.
const stopTimeout = 10 * time.Second

// Drain asks for the node to be stopped: DrainAsked tells whoever runs it.
func (n *Node) Drain() { n.drainOnce.Do(func() { close(n.drained) }) }

// DrainAsked is closed when the node was asked to stop.
func (n *Node) DrainAsked() <-chan struct{} { return n.drained }

// goodbyes is how many clients a second are sent away: as many as the rest of a
// cluster takes in easily.
const goodbyes = 2000

// drainTime is over how long links are told to go: the fewer, the sooner.
func (n *Node) drainTime(links int64) time.Duration {
	most := time.Duration(n.cfg.DrainSeconds) * time.Second
	return min(most, time.Duration(links)*time.Second/goodbyes)
}

// Stop sends the clients away, finishes what was taken on and stops everything
// in order. It returns what went wrong.
func (n *Node) Stop() error {
	over := time.Duration(0)
	n.turnAway()
	if n.front != nil {
		over = n.drainTime(n.links())
	}
	return n.stop(context.Background(), over)
}

// stop is Stop with the time over which clients are told.
func (n *Node) stop(ctx context.Context, over time.Duration) error {
	n.ready.Store(false)
	n.stopOnce.Do(func() { close(n.stopping) })
	n.resettling.end()
	errs := []error{n.Err()}
	ctx, cancel := context.WithTimeout(ctx, over+stopTimeout)
	defer cancel()
	errs = append(errs, n.drainClients(ctx, over))
	if n.monitor != nil {
		errs = append(errs, n.monitor.Stop())
	}
	n.farewell.begin(n)
	errs = append(errs, n.closeServers(ctx))
	if n.workers != nil {
		errs = append(errs, n.workers.stop(ctx))
	}
	errs = append(errs, n.leave(ctx))
	if n.back != nil && n.back.roles != nil {
		errs = append(errs, n.back.roles.Shutdown(ctx))
	}
	errs = append(errs, n.regions.stop(ctx))
	n.standby.hangUp()
	n.tasks.Wait()
	if n.back != nil {
		errs = append(errs, n.stopBackend())
	}
	errs = append(errs, n.standby.stop())
	if n.shared != nil {
		errs = append(errs, n.shared.store.Close())
	}
	n.traces.stop(ctx)
	return errors.Join(append(errs, n.farewell.end())...)
}

// closeServers ends the HTTP listeners when what was asked is answered.
func (n *Node) closeServers(ctx context.Context) error {
	var errs []error
	for _, s := range n.servers {
		if err := s.Shutdown(ctx); err != nil {
			// Long polls may still wait; they can come back elsewhere.
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// leave takes the node out of those that share its store.
func (n *Node) leave(ctx context.Context) error {
	errs := []error{n.handOver(ctx)}
	if n.shared != nil {
		// The node has no slots any more: other regions turn to other nodes.
		errs = append(errs, n.regions.stop(ctx))
	}
	errs = append(errs, n.shared.part(ctx))
	for _, r := range []*route.Mailbox{n.route, n.inner} {
		if r != nil {
			r.Close(ctx)
		}
	}
	return errors.Join(errs...)
}

// drainClients sends the clients of this process and of its workers away.
func (n *Node) drainClients(ctx context.Context, over time.Duration) error {
	var all sync.WaitGroup
	var own, theirs error
	if n.front != nil {
		all.Go(func() { own = n.front.drain(ctx, over, n.cfg.ReconnectAddresses()) })
	}
	if n.workers != nil && n.workers.supervisor != nil {
		all.Go(func() { theirs = n.workers.drain(ctx, over) })
	}
	all.Wait()
	return errors.Join(own, theirs)
}

// links is how many links there are, those of workers included.
func (n *Node) links() int64 {
	sum := int64(0)
	for _, s := range n.frontSamples() {
		sum += int64(s.Links.Open)
	}
	return sum
}

// Kill ends the worker processes at once; the caller is about to exit.
func (n *Node) Kill() {
	if n.workers != nil {
		n.workers.kill()
	}
}

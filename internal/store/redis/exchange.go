package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// group is what one server gets at once.
type group struct {
	node  *node
	calls []*call
}

// exchange sends a server its calls in one go, on a connection that nobody
// else uses meanwhile, and reads the answers. The error is about replicas.
func (s *Store) exchange(ctx context.Context, m mode, g *group) error {
	if m != 0 {
		if err := g.node.turns.Acquire(ctx, 1); err != nil {
			g.fail(errors.Join(errNotSent, err))
			return nil
		}
		defer g.node.turns.Release(1)
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.ReplyTimeout)
	defer cancel()
	conns, err := g.node.acquire()
	if err != nil {
		g.fail(err)
		return nil
	}
	if m&confirmed != 0 {
		if err := s.fit(ctx, g.node, conns); err != nil {
			g.node.release(conns, gone(err))
			g.refuse(err)
			return nil
		}
		s.topology.recount(ctx, g.node)
	}
	results := conns.client.DoMulti(ctx, s.commands(conns.client.B(), m, g)...)
	broken := firstBroken(results)
	g.node.release(conns, broken != nil && !errors.Is(broken, context.Canceled))
	if broken != nil {
		g.fail(broken)
		return nil
	}
	rest := g.take(results)
	if g.lacksScripts() {
		s.loadScripts(ctx, g)
	}
	if m&confirmed != 0 && s.confirms() {
		return s.confirm(ctx, g, rest)
	}
	return nil
}

// firstBroken is what has broken a connection, which breaks it for all that was sent
// over it: one error says it.
func firstBroken(results []rueidis.RedisResult) error {
	for _, r := range results {
		if err := r.NonRedisError(); err != nil {
			return err
		}
	}
	return nil
}

// commands are what a server gets for its calls.
func (s *Store) commands(b rueidis.Builder, m mode, g *group) []rueidis.Completed {
	cmds := make([]rueidis.Completed, 0, len(g.calls)+1)
	for _, c := range g.calls {
		if c.ask != nil {
			cmds = append(cmds, b.Asking().Build())
		}
		eval := b.Arbitrary("EVALSHA", c.script.sha, strconv.Itoa(len(c.keys))).Keys(c.keys...).Args(c.args...)
		if m == 0 {
			cmds = append(cmds, eval.Build())
		} else {
			cmds = append(cmds, eval.Blocking())
		}
	}
	if m&confirmed != 0 && s.confirms() {
		if s.opts.Replicas == ElectableReplicas {
			// Before what WAIT itself sends to replicas.
			cmds = append(cmds, b.Info().Section("replication").Build())
		}
		replicas, most := s.awaited(g.node)
		cmds = append(cmds, b.Wait().Numreplicas(int64(replicas)).Timeout(most.Milliseconds()).Build())
	}
	return cmds
}

// take notes a server's answers, and returns those that are left, of which the last
// is how many replicas have confirmed.
func (g *group) take(results []rueidis.RedisResult) []rueidis.RedisResult {
	at := 0
	for _, c := range g.calls {
		if c.ask != nil {
			at++
		}
		c.take(results[at])
		at++
	}
	return results[at:]
}

// answered reports whether any call ran.
func (g *group) answered() bool {
	for _, c := range g.calls {
		if c.outcome == answered {
			return true
		}
	}
	return false
}

// doubt is for calls that ran on a server that may not have kept what they did.
func (g *group) doubt(err error) {
	for _, c := range g.calls {
		if c.outcome == answered {
			c.outcome, c.err = unknown, fmt.Errorf("%s: wait for replicas: %w", g.node.addr, err)
		}
	}
}

// fail is for calls that a server has not answered.
func (g *group) fail(err error) {
	var op *net.OpError
	notSent := errors.Is(err, errNotSent) || errors.As(err, &op) && op.Op == "dial"
	err = fmt.Errorf("%s: %w", g.node.addr, err)
	for _, c := range g.calls {
		c.err, c.outcome = err, unknown
		if notSent {
			c.outcome = refused
		}
	}
}

func (g *group) lacksScripts() bool {
	for _, c := range g.calls {
		if refusal, ok := rueidis.IsRedisErr(c.err); ok && refusal.IsNoScript() {
			return true
		}
	}
	return false
}

// loadScripts gives a server the scripts that it lacks. Should it fail, the
// calls are refused once more.
func (s *Store) loadScripts(ctx context.Context, g *group) {
	conns, err := g.node.acquire()
	if err != nil {
		return
	}
	var failed error
	loaded := map[*script]bool{}
	for _, c := range g.calls {
		if !loaded[c.script] {
			loaded[c.script] = true
			failed = errors.Join(failed, conns.client.Do(ctx, conns.client.B().ScriptLoad().Script(c.script.text).Build()).NonRedisError())
		}
	}
	g.node.release(conns, failed != nil)
}

// confirm reads how many replicas have what the calls wrote. A server that does
// not say, because it has just become a replica itself, leaves their fate
// unknown.
func (s *Store) confirm(ctx context.Context, g *group, rest []rueidis.RedisResult) error {
	n, err := rest[len(rest)-1].AsInt64()
	want := s.wanted()
	if !g.answered() {
		return nil
	}
	if err == nil && s.opts.Replicas == ElectableReplicas {
		if s.allElectable(ctx, g.node, rest[0], int(n), want) {
			return nil
		}
	} else if err == nil && n >= int64(want) {
		return nil
	}
	if err != nil {
		g.doubt(err)
		return nil
	}
	s.book.Unconfirmed.Add(1)
	return &ReplicaError{Addr: g.node.addr, Confirmed: int(n), Wanted: want, Waited: s.opts.ReplicaTimeout}
}

// ReplicaError says that too few replicas have confirmed a write. It may be
// lost with its server, or not.
type ReplicaError struct {
	Addr              string
	Confirmed, Wanted int
	Waited            time.Duration
}

func (e *ReplicaError) Error() string {
	return fmt.Sprintf("%d of %d replicas of %s confirmed the write within %v: it is not acknowledged, and nobody knows whether it will last",
		e.Confirmed, e.Wanted, e.Addr, e.Waited)
}

package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// call is a script to be run on the server that has a Redis slot.
type call struct {
	place  uint16
	script *script
	keys   []string
	args   []string

	// ask is the server that a moving slot's keys are on already.
	ask     *node
	outcome outcome
	answer  rueidis.RedisMessage
	err     error
}

// outcome is what became of a call.
type outcome uint8

const (
	waiting  outcome = iota // not sent yet
	answered                // the script ran: answer or err is what it returned
	refused                 // surely not run, for a reason that passes: err
	unknown                 // nobody knows: err
)

// mode is how calls are run.
type mode uint8

const (
	// once: a call whose fate is unknown is not sent again.
	once mode = 1 << iota
	// confirmed: wait for replicas.
	confirmed
)

// run makes every call once, on the server that has its slot, and again where
// a server refused it for a reason that passes. When it returns nil, all calls
// are answered, and replicas have confirmed what they wrote if that was asked
// for.
func (s *Store) run(ctx context.Context, m mode, calls []*call) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	for attempt := 0; ; attempt++ {
		err := s.exchangeAll(ctx, m, calls)
		if calls, err = s.left(m, calls, err); err != nil || len(calls) == 0 {
			return err
		}
		s.book.Retries.Add(uint64(len(calls)))
		if err := s.relocate(ctx, attempt, calls); err != nil {
			return err
		}
		if s.hopeless(calls) {
			return fmt.Errorf("not waited for, it has been away: %w", calls[0].err)
		}
	}
}

// hopeless reports whether calls are for servers that have been away for as long as
// any call waits for another in their place: who comes now need not wait as well.
func (s *Store) hopeless(calls []*call) bool {
	for _, c := range calls {
		since := s.topology.owners[c.place].Load().since.Load()
		if c.ask != nil || since == 0 || time.Since(time.Unix(0, since)) < s.opts.Timeout {
			return false
		}
	}
	return true
}

// group is what one server gets at once.
type group struct {
	node  *node
	calls []*call
}

// exchangeAll sends calls to their servers, side by side.
func (s *Store) exchangeAll(ctx context.Context, m mode, calls []*call) error {
	groups := s.group(calls)
	if len(groups) == 1 {
		return s.exchange(ctx, m, groups[0])
	}
	errs := make([]error, len(groups))
	var wg sync.WaitGroup
	for i, g := range groups {
		wg.Go(func() { errs[i] = s.exchange(ctx, m, g) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *Store) group(calls []*call) []*group {
	var groups []*group
next:
	for _, c := range calls {
		n := c.ask
		if n == nil {
			n = s.topology.owners[c.place].Load()
		}
		for _, g := range groups {
			if g.node == n {
				g.calls = append(g.calls, c)
				continue next
			}
		}
		groups = append(groups, &group{node: n, calls: []*call{c}})
	}
	return groups
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
	cmds := s.commands(conns.client.B(), m, g)
	results := conns.client.DoMulti(ctx, cmds...)
	// What breaks a connection breaks it for all of them: one error says it.
	var broken error
	for _, r := range results {
		if broken = r.NonRedisError(); broken != nil {
			break
		}
	}
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

func (g *group) lacksScripts() bool {
	for _, c := range g.calls {
		if refusal, ok := rueidis.IsRedisErr(c.err); ok && refusal.IsNoScript() {
			return true
		}
	}
	return false
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

// take notes a server's answer.
func (c *call) take(r rueidis.RedisResult) {
	c.answer, c.err = r.ToMessage()
	c.outcome = answered
	var refusal *rueidis.RedisError
	if errors.As(c.err, &refusal) && passes(refusal.Error()) {
		c.outcome = refused
	}
}

// passes reports whether an error says that a script did not run, for a reason
// that goes away by itself.
func passes(refusal string) bool {
	word, _, _ := strings.Cut(refusal, " ")
	switch word {
	case "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "NOSCRIPT", "READONLY", "MASTERDOWN", "BUSY":
		return true
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

// left picks the calls to make again. err is what exchange returned.
func (s *Store) left(m mode, calls []*call, err error) ([]*call, error) {
	var again []*call
	// One refusal tells: thousands of slots may be refused for one reason.
	var refusal error
	for _, c := range calls {
		switch {
		case c.outcome == unknown && m&once != 0:
			s.book.Unknown.Add(1)
			err = errors.Join(err, c.err)
			return nil, fmt.Errorf("the fate of a write is unknown: %w", err)
		case c.outcome == unknown, c.outcome == refused:
			again = append(again, c)
		case c.err != nil && refusal == nil:
			refusal = c.err
		}
	}
	return again, errors.Join(err, refusal)
}

// relocate finds out where refused calls belong now, and waits a little before
// they are made again, unless a server has said where.
func (s *Store) relocate(ctx context.Context, attempt int, calls []*call) error {
	look, hurry := false, true
	for _, c := range calls {
		c.ask = nil
		refusal, ok := rueidis.IsRedisErr(c.err)
		switch {
		case !ok:
			look, hurry = true, false
		case refusal.IsNoScript():
		default:
			if !s.redirected(c, refusal) {
				look, hurry = true, false
			}
		}
	}
	if look && s.topology.cluster {
		// Should nobody know, the next attempt fails for that reason.
		_ = s.topology.refresh(ctx)
	}
	if hurry && attempt < 4 {
		return nil
	}
	select {
	case <-time.After(min(time.Duration(attempt+1)*5*time.Millisecond, 100*time.Millisecond)):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("gave up after %v: %w", s.opts.Timeout, calls[0].err)
	}
}

// redirected follows a server that has said where a call belongs.
func (s *Store) redirected(c *call, refusal *rueidis.RedisError) bool {
	if addr, ok := refusal.IsMoved(); ok {
		s.moved.Add(1)
		s.topology.owners[c.place].Store(s.topology.node(addr))
		return true
	}
	if addr, ok := refusal.IsAsk(); ok {
		s.moved.Add(1)
		c.ask = s.topology.node(addr)
		return true
	}
	return false
}

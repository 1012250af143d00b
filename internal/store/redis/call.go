package redis

import (
	"context"
	"errors"
	"fmt"
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

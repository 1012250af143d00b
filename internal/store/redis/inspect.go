package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/skein-im/skein/internal/store"
)

// A server's settings decide what its word is worth. They are looked at when it is
// connected to, and nothing is acknowledged over a connection before that: so a
// server that was away when the store was opened, one that was started again with
// other settings, and one that was promoted are looked at like all others.

// unfit says that a server would destroy what it is given.
type unfit struct{ why string }

func (e *unfit) Error() string { return e.why }

// orAway says of an error that it may pass, if it may.
func orAway(err error) error {
	if err != nil && passing(err) {
		return fmt.Errorf("%w: %w", store.ErrAway, err)
	}
	return err
}

// passing reports whether an error is one of a server that is away, or not ready.
func passing(err error) bool {
	var refusal *rueidis.RedisError
	if errors.As(err, &refusal) {
		return passes(refusal.Error())
	}
	return gone(err) || errors.Is(err, errNobody) || errors.As(err, new(*ReplicaError)) || errors.As(err, new(*uncovered))
}

// gone reports whether an error is one of a connection.
func gone(err error) bool {
	return errors.As(err, new(*net.OpError)) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, rueidis.ErrClosing)
}

// inspectAll looks at all primaries. Those of a cluster that are out of reach are
// named in the log, and looked at when they are back.
func (s *Store) inspectAll(ctx context.Context) error {
	primaries := s.topology.primaries()
	errs := make([]error, len(primaries))
	var all sync.WaitGroup
	for i, n := range primaries {
		all.Go(func() { errs[i] = s.inspectNow(ctx, n) })
	}
	all.Wait()
	var away []string
	var why error
	for i, n := range primaries {
		if errs[i] == nil {
			continue
		}
		err := fmt.Errorf("%s: %w", n.addr, errs[i])
		if !passing(errs[i]) {
			return err
		}
		n.missed.Store(true)
		n.giveUp(time.Now())
		away, why = append(away, n.addr), errors.Join(why, err)
	}
	if len(away) == len(primaries) {
		return orAway(why)
	}
	if len(away) > 0 {
		slices.Sort(away)
		s.log.Warn("servers of the Redis Cluster could not be looked at: their users are not served until they, or others in their place, have been",
			"servers", away, "err", why)
	}
	return nil
}

// inspectNow looks at a server.
func (s *Store) inspectNow(ctx context.Context, n *node) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.ReplyTimeout)
	defer cancel()
	c, err := n.acquire()
	if err != nil {
		return err
	}
	err = s.fit(ctx, n, c)
	n.release(c, err != nil && gone(err))
	return err
}

// fit reports whether what a server has confirmed over its connections may be
// acknowledged.
func (s *Store) fit(ctx context.Context, n *node, c *connections) error {
	if why := s.elections.Load(); why != nil {
		return why
	}
	if c.fit.Load() {
		return nil
	}
	if err := n.looking.Acquire(ctx, 1); err != nil {
		return err
	}
	defer n.looking.Release(1)
	if c.fit.Load() {
		return nil
	}
	err := s.inspect(ctx, n, c)
	var no *unfit
	switch {
	case err == nil:
		c.fit.Store(true)
		if n.missed.Swap(false) {
			s.log.Info("a Redis server has been looked at, and is used from now on", "server", n.addr)
		}
	case errors.As(err, &no) && n.said != no.why:
		n.said = no.why
		n.missed.Store(true)
		s.log.Error("nothing is acknowledged over a Redis server that would lose it", "server", n.addr, "because", no.why)
	}
	return err
}

// inspect checks how a server is set up: what would destroy data is an error,
// what makes acknowledged writes less safe than they could be is logged.
func (s *Store) inspect(ctx context.Context, n *node, c *connections) error {
	info, err := c.info(ctx)
	if err != nil {
		return err
	}
	if info["role"] == "slave" && !s.topology.cluster {
		return &unfit{"the server is a replica; give the address of its primary"}
	}
	if policy := info["maxmemory_policy"]; info["maxmemory"] != "0" && policy != "noeviction" {
		return &unfit{fmt.Sprintf("maxmemory-policy is %s, which drops data when memory is short; set it to noeviction", policy)}
	}
	var risks []risk
	if info["aof_enabled"] != "1" {
		risks = append(risks, risk{"appendonly is off", "all since the last snapshot is lost when the server stops"})
	} else if policy, err := c.config(ctx, "appendfsync"); err != nil {
		return err
	} else if policy != "always" && policy != "" {
		risks = append(risks, risk{"appendfsync is " + policy, "a second or more is lost when the server's machine stops"})
	}
	if have, err := strconv.Atoi(info["connected_slaves"]); err == nil && have < s.wanted() && (have == 0 || s.opts.Replicas != ElectableReplicas) {
		risks = append(risks, risk{fmt.Sprintf("it has %d replicas", have),
			fmt.Sprintf("none: nothing is acknowledged until %d are there", s.wanted())})
	}
	s.warn(n, risks)
	return nil
}

// risk is what makes acknowledged writes less safe, and how.
type risk struct{ what, loses string }

// warn logs risks, unless they were logged the last time.
func (s *Store) warn(n *node, risks []risk) {
	said := fmt.Sprint(risks)
	if said == n.said {
		return
	}
	n.said = said
	for _, r := range risks {
		s.log.Warn("the Redis server may lose acknowledged messages", "server", n.addr, "because", r.what, "risk", r.loses)
	}
}

// electionsEvery is how often it is looked whether servers are back that could not
// be asked how they take part in elections.
const electionsEvery = time.Second

// startElections refuses servers that would promote whoever has old data, where
// acknowledging rests on their not doing so. Those that do not answer are asked
// again until they do, and nothing is acknowledged while one is known to be such a
// server.
func (s *Store) startElections(ctx context.Context) error {
	if s.opts.Replicas != ElectableReplicas || !s.topology.cluster {
		return nil
	}
	if err := s.checkElections(ctx); err != nil {
		return err
	}
	s.tasks.Go(func() {
		tick := time.NewTicker(electionsEvery)
		defer tick.Stop()
		for {
			select {
			case <-s.ctx.Done():
				return
			case <-tick.C:
			}
			was, is := s.elections.Load(), s.checkElections(s.ctx)
			s.elections.Store(is)
			if is != nil && was == nil {
				s.log.Error("nothing is acknowledged: a Redis server could be promoted with old data", "because", is.why)
			}
		}
	})
	return nil
}

// checkElections asks the servers that have not been asked yet.
func (s *Store) checkElections(ctx context.Context) *unfit {
	var why *unfit
	for _, n := range s.topology.known() {
		if n.elects.Load() || ctx.Err() != nil {
			continue
		}
		switch factor, err := n.config(ctx, "cluster-replica-validity-factor"); {
		case err != nil:
		case factor == "0":
			why = &unfit{n.addr + ": cluster-replica-validity-factor is 0, so a server that has been away may be promoted with what it had; " +
				"set it to 1 on all servers, or wait for all replicas (-1)"}
		default:
			n.elects.Store(true)
		}
	}
	return why
}

// refuse is for calls that were not sent, because their server is not fit.
func (g *group) refuse(err error) {
	final := errors.As(err, new(*unfit))
	err = fmt.Errorf("%s: %w", g.node.addr, err)
	for _, c := range g.calls {
		c.err, c.outcome = err, refused
		if final {
			c.outcome = answered
		}
	}
}

// info is what INFO says.
func (c *connections) info(ctx context.Context) (map[string]string, error) {
	text, err := report(c.client.Do(ctx, c.client.B().Info().Build()))
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[key] = value
		}
	}
	return fields, nil
}

// config is a setting of the server; "": it does not tell.
func (c *connections) config(ctx context.Context, name string) (string, error) {
	return setting(c.client.Do(ctx, c.client.B().Arbitrary("CONFIG", "GET", name).Build()), name)
}

func (n *node) config(ctx context.Context, name string) (string, error) {
	return setting(n.do(ctx, "CONFIG", "GET", name), name)
}

func setting(r rueidis.RedisResult, name string) (string, error) {
	m, err := r.AsStrMap()
	if err != nil {
		var refusal *rueidis.RedisError
		if errors.As(err, &refusal) {
			err = nil
		}
		return "", err
	}
	return m[name], nil
}

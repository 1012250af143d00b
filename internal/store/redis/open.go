package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/skein-im/skein/internal/store"
)

// formatVersion is the version of the keys and values, im.Slots and
// im.Addr.Slot. Raise it when any of them changes.
const formatVersion = 1

// Open connects to a server or a cluster, and checks that what is there can be
// used and is set up to keep what it is given.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	s := &Store{opts: opts, log: opts.Logger, keys: newKeyspace(opts.Prefix), scripts: newScripts(), maxListed: maxListed}
	s.topology = newTopology(&s.opts)
	if err := s.open(ctx); err != nil {
		s.topology.close()
		return nil, fmt.Errorf("open the store at %s: %w", strings.Join(opts.Addresses, ", "), err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := s.topology.refresh(ctx); err != nil {
		return err
	}
	if !s.topology.cluster && len(s.opts.Addresses) > 1 {
		// Which of them is right cannot be told: after a failover, the old
		// primary would take writes again.
		return errors.New("the server is not part of a cluster: give its address only")
	}
	for _, n := range s.topology.primaries() {
		if err := s.inspect(ctx, n); err != nil {
			return fmt.Errorf("%s: %w", n.addr, err)
		}
	}
	if err := s.checkElections(ctx); err != nil {
		return err
	}
	return s.checkFormat(ctx)
}

// checkElections refuses servers that would promote whoever has old data, where
// acknowledging rests on their not doing so.
func (s *Store) checkElections(ctx context.Context) error {
	if s.opts.Replicas != ElectableReplicas || !s.topology.cluster {
		return nil
	}
	for _, n := range s.topology.known() {
		if n.config(ctx, "cluster-replica-validity-factor") == "0" {
			return fmt.Errorf("%s: cluster-replica-validity-factor is 0, so a server that has been away may be promoted with what it had; "+
				"set it to 1 on all servers, or wait for all replicas (-1)", n.addr)
		}
	}
	return nil
}

// checkFormat notes which format the keys have, or reads it.
func (s *Store) checkFormat(ctx context.Context) error {
	c := &call{
		place: place(membersTag), script: s.scripts.format, keys: []string{s.keys.format()},
		args: []string{strconv.Itoa(formatVersion)},
	}
	if err := s.run(ctx, confirmed, []*call{c}); err != nil {
		return err
	}
	text, err := c.answer.ToString()
	if err != nil {
		return err
	}
	switch version, err := strconv.Atoi(text); {
	case err != nil || version < 1:
		return corruptf("%s holds %q", s.keys.format(), text)
	case version > formatVersion:
		return fmt.Errorf("%w: it has format %d and this version knows formats up to %d", store.ErrNewer, version, formatVersion)
	}
	return nil
}

// inspect checks how a server is set up: what would destroy data is an error,
// what makes acknowledged writes less safe than they could be is logged.
func (s *Store) inspect(ctx context.Context, n *node) error {
	info, err := n.info(ctx)
	if err != nil {
		return err
	}
	if info["role"] == "slave" {
		return errors.New("the server is a replica; give the address of its primary")
	}
	if policy := info["maxmemory_policy"]; info["maxmemory"] != "0" && policy != "noeviction" {
		return fmt.Errorf("maxmemory-policy is %s, which drops data when memory is short; set it to noeviction", policy)
	}
	warn := func(what, risk string) {
		s.log.Warn("the Redis server may lose acknowledged messages", "server", n.addr, "because", what, "risk", risk)
	}
	if info["aof_enabled"] != "1" {
		warn("appendonly is off", "all since the last snapshot is lost when the server stops")
	} else if policy := n.config(ctx, "appendfsync"); policy != "always" && policy != "" {
		warn("appendfsync is "+policy, "a second or more is lost when the server's machine stops")
	}
	if have, err := strconv.Atoi(info["connected_slaves"]); err == nil && have < s.wanted() && (have == 0 || s.opts.Replicas != ElectableReplicas) {
		warn(fmt.Sprintf("it has %d replicas", have),
			fmt.Sprintf("none: nothing is acknowledged until %d are there", s.wanted()))
	}
	return nil
}

// info is what INFO says.
func (n *node) info(ctx context.Context) (map[string]string, error) {
	text, err := report(n.do(ctx, "INFO"))
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

// report is a text for people that a server has answered. The protocol says with
// three letters before it what kind of text it is, and the client library leaves
// them there.
func report(r rueidis.RedisResult) (string, error) {
	text, err := r.ToString()
	return strings.TrimPrefix(text, "txt:"), err
}

// config is a setting of the server; "": it does not tell.
func (n *node) config(ctx context.Context, name string) string {
	m, err := n.do(ctx, "CONFIG", "GET", name).AsStrMap()
	if err != nil {
		return ""
	}
	return m[name]
}

// do runs one command.
func (n *node) do(ctx context.Context, args ...string) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(ctx, n.opts.ReplyTimeout)
	defer cancel()
	c, err := n.acquire()
	if err != nil {
		return rueidis.NewErrorResult(err)
	}
	r := c.client.Do(ctx, c.client.B().Arbitrary(args...).Build())
	n.release(c, r.NonRedisError() != nil)
	return r
}

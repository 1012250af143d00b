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
// used and is set up to keep what it is given. Servers of a cluster may be away, but
// not the one that has the members, nor all; ErrAway: it is.
func Open(ctx context.Context, opts Options) (*Store, error) {
	return connect(ctx, opts, (*Store).open)
}

// Look is Open for somebody who asks for owners and members only: any server may be
// away.
func Look(ctx context.Context, opts Options) (*Store, error) {
	return connect(ctx, opts, (*Store).find)
}

func connect(ctx context.Context, opts Options, open func(*Store, context.Context) error) (*Store, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	s := &Store{opts: opts, log: opts.Logger, keys: newKeyspace(opts.Prefix), scripts: newScripts(), maxListed: maxListed}
	s.topology = newTopology(&s.opts)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := open(s, ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open the store at %s: %w", strings.Join(opts.Addresses, ", "), err)
	}
	return s, nil
}

// find finds out which server has what.
func (s *Store) find(ctx context.Context) error {
	if err := s.topology.refresh(ctx); err != nil && !errors.As(err, new(*uncovered)) {
		return orAway(err)
	}
	if !s.topology.cluster && len(s.opts.Addresses) > 1 {
		// Which of them is right cannot be told: after a failover, the old
		// primary would take writes again.
		return errors.New("the server is not part of a cluster: give its address only")
	}
	s.topology.fill()
	return nil
}

// open finds the servers, and looks at them.
func (s *Store) open(ctx context.Context) error {
	if err := s.find(ctx); err != nil {
		return err
	}
	if err := s.inspectAll(ctx); err != nil {
		return err
	}
	if err := s.startElections(ctx); err != nil {
		return err
	}
	return orAway(s.checkFormat(ctx))
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
		return store.Corruptf("%s holds %q", s.keys.format(), text)
	case version > formatVersion:
		return fmt.Errorf("%w: it has format %d and this version knows formats up to %d", store.ErrNewer, version, formatVersion)
	}
	return nil
}

// report is a text for people that a server has answered. The protocol says with
// three letters before it what kind of text it is, and the client library leaves
// them there.
func report(r rueidis.RedisResult) (string, error) {
	text, err := r.ToString()
	return strings.TrimPrefix(text, "txt:"), err
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

package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Members are soft state: nodes write their records again all the time. So no
// replica confirms them, and after a failover one may be missing for a moment.
// The server's clock tells when they expire.

// PutMember implements store.Store.
func (s *Store) PutMember(ctx context.Context, m store.Member, ttl time.Duration) error {
	if ttl < time.Millisecond {
		return im.Errorf(im.Invalid, "a member stays for at least a millisecond, not %v", ttl)
	}
	_, err := s.withMembers(ctx, s.scripts.changeMembers, "put", m.Node, rueidis.BinaryString(m.Value),
		strconv.FormatInt(ttl.Milliseconds(), 10))
	return err
}

// DeleteMember implements store.Store.
func (s *Store) DeleteMember(ctx context.Context, node string) error {
	_, err := s.withMembers(ctx, s.scripts.changeMembers, "delete", node)
	return err
}

// Members implements store.Store.
func (s *Store) Members(ctx context.Context) ([]store.Member, error) {
	answer, err := s.withMembers(ctx, s.scripts.listMembers, "list")
	if err != nil {
		return nil, err
	}
	lists, err := answer.ToArray()
	if err != nil || len(lists) != 2 {
		return nil, store.Corruptf("members were listed as %d fields", len(lists))
	}
	nodes, err := lists[0].AsStrSlice()
	values, err2 := lists[1].ToArray()
	if err := errors.Join(err, err2); err != nil || len(nodes) != len(values) {
		return nil, store.Corruptf("%d members have %d values", len(nodes), len(values))
	}
	all := make([]store.Member, len(nodes))
	for i := range nodes {
		v, err := values[i].AsBytes()
		if err != nil {
			return nil, err
		}
		all[i] = store.Member{Node: nodes[i], Value: v}
	}
	return all, nil
}

func (s *Store) withMembers(ctx context.Context, script *script, args ...string) (rueidis.RedisMessage, error) {
	if err := s.life.Enter(ctx); err != nil {
		return rueidis.RedisMessage{}, err
	}
	defer s.life.Exit()
	values, expiry := s.keys.members()
	c := &call{place: place(membersTag), script: script, keys: []string{values, expiry}, args: args}
	if err := s.run(ctx, 0, []*call{c}); err != nil {
		return rueidis.RedisMessage{}, fmt.Errorf("members: %w", err)
	}
	return c.answer, nil
}

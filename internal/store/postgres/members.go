package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// lasting is from what life on a member's record is made durable. Records of nodes
// live for seconds and are written again all the time: no disk and no standby need
// have them, and after a failover one may be missing for a moment. The server's
// clock tells when they expire.
const lasting = time.Minute

// PutMember implements store.Store.
func (s *Store) PutMember(ctx context.Context, m store.Member, ttl time.Duration) error {
	if ttl < time.Millisecond {
		return im.Errorf(im.Invalid, "a member stays for at least a millisecond, not %v", ttl)
	}
	put := &query{st: sqlPutMember, params: [][]byte{[]byte(m.Node), notNull(m.Value), int8Param(uint64(ttl.Milliseconds()))}}
	if ttl >= lasting {
		return s.withMembers(ctx, confirmed, put)
	}
	return s.withMembers(ctx, 0, &query{st: sqlUnconfirmed}, put)
}

// notNull is an empty value instead of none.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// DeleteMember implements store.Store. It removes records that have expired, too.
func (s *Store) DeleteMember(ctx context.Context, node string) error {
	return s.withMembers(ctx, 0, &query{st: sqlUnconfirmed}, &query{st: sqlDeleteMember, params: [][]byte{[]byte(node)}})
}

// Members implements store.Store.
func (s *Store) Members(ctx context.Context) ([]store.Member, error) {
	q := &query{st: sqlMembers}
	if err := s.withMembers(ctx, 0, q); err != nil {
		return nil, err
	}
	all := make([]store.Member, len(q.rows))
	for i, row := range q.rows {
		all[i] = store.Member{Node: string(row[0]), Value: row[1]}
	}
	return all, nil
}

func (s *Store) withMembers(ctx context.Context, m mode, queries ...*query) error {
	if err := s.life.Enter(ctx); err != nil {
		return err
	}
	defer s.life.Exit()
	if err := s.run(ctx, s.reads, m, queries...); err != nil {
		return fmt.Errorf("members: %w", err)
	}
	return nil
}

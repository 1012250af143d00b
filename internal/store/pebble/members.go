package pebble

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/store"
)

// members is the list of live nodes. It is not persisted: whoever could read
// it lives in this process, and after a restart a record of the process before
// would only name an owner that is dead.
type members struct {
	mu   sync.Mutex
	list map[string]member
}

type member struct {
	value   []byte
	expires time.Time
}

// PutMember implements store.Store.
func (s *Store) PutMember(ctx context.Context, m store.Member, ttl time.Duration) error {
	return s.withMembers(ctx, func(list map[string]member, now time.Time) {
		list[m.Node] = member{value: bytes.Clone(m.Value), expires: now.Add(ttl)}
	})
}

// DeleteMember implements store.Store.
func (s *Store) DeleteMember(ctx context.Context, node string) error {
	return s.withMembers(ctx, func(list map[string]member, _ time.Time) {
		delete(list, node)
	})
}

// Members implements store.Store. They come by ascending name.
func (s *Store) Members(ctx context.Context) ([]store.Member, error) {
	var all []store.Member
	err := s.withMembers(ctx, func(list map[string]member, _ time.Time) {
		for node, m := range list {
			all = append(all, store.Member{Node: node, Value: bytes.Clone(m.value)})
		}
	})
	slices.SortFunc(all, func(a, b store.Member) int { return strings.Compare(a.Node, b.Node) })
	return all, err
}

// withMembers runs f on the members that have not expired.
func (s *Store) withMembers(ctx context.Context, f func(list map[string]member, now time.Time)) error {
	if err := s.life.Enter(ctx); err != nil {
		return err
	}
	defer s.life.Exit()
	if err := errors.Join(s.Err(), ctx.Err()); err != nil {
		return err
	}
	s.members.mu.Lock()
	defer s.members.mu.Unlock()
	if s.members.list == nil {
		s.members.list = map[string]member{}
	}
	now := s.clock()
	for node, m := range s.members.list {
		if !now.Before(m.expires) {
			delete(s.members.list, node)
		}
	}
	f(s.members.list, now)
	return nil
}

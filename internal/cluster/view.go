package cluster

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// take makes a table of members.
func (m *Membership) take(members []Member, now time.Time) {
	m.mu.Lock()
	if now.Before(m.forgive) {
		members = append(members, missing(members, m.members)...)
	}
	same := sameNodes(m.members, members)
	m.members = members
	if !same {
		m.table = NewTable(members)
	}
	table := m.table
	m.mu.Unlock()
	if !same {
		m.cfg.Changed(members, table)
	}
}

// missing are the members of an earlier list that are not in a later one.
func missing(later, earlier []Member) (gone []Member) {
	for _, e := range earlier {
		if !slices.ContainsFunc(later, func(l Member) bool { return l.Node == e.Node }) {
			gone = append(gone, e)
		}
	}
	return gone
}

// sameNodes reports whether two lists place slots and name addresses alike;
// how many links a node has, and how often it has said so, does not matter.
func sameNodes(a, b []Member) bool {
	if len(a) != len(b) {
		return false
	}
	known := make(map[string]Member, len(a))
	for _, m := range a {
		m.Links, m.Beat = 0, 0
		known[m.Node] = m
	}
	for _, m := range b {
		m.Links, m.Beat = 0, 0
		if known[m.Node] != m {
			return false
		}
	}
	return true
}

// Update changes what the node says of itself, at once.
func (m *Membership) Update(change func(self *Member)) {
	m.mu.Lock()
	before := m.self
	change(&m.self)
	changed := m.self != before
	m.mu.Unlock()
	if changed {
		m.Refresh()
	}
}

// Refresh asks for a look at the records soon. It returns at once.
func (m *Membership) Refresh() {
	select {
	case m.nudge <- struct{}{}:
	default:
	}
}

// Sync writes the node's record and reads the others' now, and returns when
// Changed has been called if there was a reason to.
func (m *Membership) Sync(ctx context.Context) error {
	if !m.started.Load() {
		return im.Errorf(im.Unavailable, "the node has not joined the cluster")
	}
	answer := make(chan error, 1)
	m.mu.Lock()
	m.waiting = append(m.waiting, answer)
	m.mu.Unlock()
	m.Refresh()
	select {
	case err := <-answer:
		return err
	case <-m.done:
		return im.Errorf(im.Unavailable, "the node has left the cluster")
	case <-ctx.Done():
		return im.Errorf(im.Unavailable, "the cluster's records cannot be reached: %w", context.Cause(ctx))
	}
}

// asked are those who wait for the look that begins now.
func (m *Membership) asked() []chan<- error {
	m.mu.Lock()
	defer m.mu.Unlock()
	waiting := m.waiting
	m.waiting = nil
	return waiting
}

// Members are the nodes as they were last read, and Table the placement that
// follows.
func (m *Membership) Members() ([]Member, *Table) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.members, m.table
}

// Leave stops refreshing the record and removes it, so that nobody has to wait
// until it expires.
func (m *Membership) Leave(ctx context.Context) error {
	m.once.Do(func() { close(m.stop) })
	if m.started.Load() {
		<-m.done
	}
	m.mu.Lock()
	node, superseded := m.self.Node, m.superseded
	m.mu.Unlock()
	if node == "" || superseded {
		return nil
	}
	return m.cfg.Records.DeleteMember(ctx, node)
}

// Read reads the nodes' records once, for somebody who only looks.
func Read(ctx context.Context, records Records, log *slog.Logger) ([]Member, error) {
	m := New(Config{Records: records, Logger: log})
	if err := m.look(ctx); err != nil {
		return nil, err
	}
	members, _ := m.Members()
	return members, nil
}

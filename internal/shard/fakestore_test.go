package shard

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// memory is a store in memory with gates: commits and loads wait while theirs
// is closed.
type memory struct {
	store.Store
	mu       sync.Mutex
	entities map[im.Addr]*saved
	epochs   map[im.Slot]im.Epoch
	overlap  map[im.Slot]bool
	commits  gate
	loads    gate
	// loadTime is how long each load takes.
	loadTime time.Duration
	// fail is what the next commit returns; reading counts loads that run.
	fail          error
	reading, most int
	batches       int
}

// gate is a door that can be closed; nil is open.
type gate struct {
	mu   sync.Mutex
	wait chan struct{}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wait = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.wait)
	g.wait = nil
}

func (g *gate) pass() {
	g.mu.Lock()
	wait := g.wait
	g.mu.Unlock()
	if wait != nil {
		<-wait
	}
}

func newMemory() *memory {
	return &memory{entities: map[im.Addr]*saved{}, epochs: map[im.Slot]im.Epoch{}, overlap: map[im.Slot]bool{}}
}

func (m *memory) saved(a im.Addr) *saved {
	if m.entities[a] == nil {
		m.entities[a] = &saved{records: map[string][]byte{}}
	}
	return m.entities[a]
}

func (m *memory) Commit(_ context.Context, b *store.Batch) error {
	m.commits.pass()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches++
	if err := m.fail; err != nil {
		m.fail = nil
		return err
	}
	for _, ch := range b.Changes {
		s := m.saved(ch.Addr)
		if len(ch.Append) > 0 && int(ch.First) != len(s.log)+1 {
			return errors.New("the log has a gap")
		}
		s.log = append(s.log, ch.Append...)
		for _, r := range ch.Put {
			s.records[r.Key] = r.Value
		}
		for _, key := range ch.Delete {
			delete(s.records, key)
		}
		if ch.Pending != store.Keep {
			s.pending = ch.Pending == store.Set
		}
	}
	return nil
}

func (m *memory) Load(_ context.Context, a im.Addr, tail func([]im.Record) im.Seq) (store.Entity, error) {
	m.mu.Lock()
	m.reading++
	m.most = max(m.most, m.reading)
	m.mu.Unlock()
	m.loads.pass()
	time.Sleep(m.loadTime)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reading--
	s := m.saved(a)
	var e store.Entity
	for _, key := range slices.Sorted(maps.Keys(s.records)) {
		e.Records = append(e.Records, im.Record{Key: key, Value: s.records[key]})
	}
	e.Tail = s.read(tail(e.Records)+1, len(s.log), 1<<30)
	return e, nil
}

func (m *memory) ReadLog(_ context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]im.LogEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saved(a).read(from, limit, maxBytes), nil
}

func (m *memory) pending(a im.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saved(a).pending
}

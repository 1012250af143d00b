package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Chatter owns entities and appends to their logs, as a mailbox does: when it
// does not know what became of a commit, it acquires its slots again and takes
// what it finds.
type Chatter struct {
	Store store.Store
	Addrs []im.Addr

	name   string
	epochs map[im.Slot]im.Epoch

	mu sync.Mutex
	// logs are what was acknowledged, or found after a failure.
	logs map[im.Addr][]string
	// lost counts acknowledged entries that were not there any more.
	lost    int
	commits int
	// lastly is when the last commit was acknowledged, gap the longest time
	// between two.
	lastly     time.Time
	gap        time.Duration
	recoveries int
	// tried are entries whose fate was unknown.
	tried map[string]bool
}

// newChatter makes one that owns the users of every so many slots.
func newChatter(s store.Store, number, of, users int) *Chatter {
	c := &Chatter{
		Store: s, name: fmt.Sprintf("chatter%d", number),
		epochs: map[im.Slot]im.Epoch{}, logs: map[im.Addr][]string{}, tried: map[string]bool{},
	}
	for id := im.UserID(1); len(c.Addrs) < users; id++ {
		if a := im.User(id); int(a.Slot())%of == number {
			c.Addrs = append(c.Addrs, a)
		}
	}
	return c
}

// acquire makes the chatter the owner of its slots, and finds out what is in
// its logs.
func (c *Chatter) acquire(ctx context.Context) error {
	var slots []im.Slot
	seen := map[im.Slot]bool{}
	for _, a := range c.Addrs {
		if !seen[a.Slot()] {
			seen[a.Slot()] = true
			slots = append(slots, a.Slot())
		}
	}
	epochs, err := c.Store.Acquire(ctx, c.name, slots)
	if err != nil {
		return err
	}
	for i, slot := range slots {
		c.epochs[slot] = epochs[i]
	}
	for _, a := range c.Addrs {
		if err := c.find(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// errForeign: a log has an entry that nobody wrote.
var errForeign = errors.New("nobody wrote that")

// find reads the end of a log.
func (c *Chatter) find(ctx context.Context, a im.Addr) error {
	c.mu.Lock()
	known := c.logs[a]
	c.mu.Unlock()
	from := max(0, len(known)-100)
	es, err := c.Store.ReadLog(ctx, a, im.Seq(from+1), 1<<20, 1<<30)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := from; i < len(known); i++ {
		if i-from >= len(es) || string(es[i-from].Value) != known[i] {
			c.lost++
		}
	}
	log := append([]string(nil), known[:from]...)
	for i, e := range es {
		if from+i >= len(known) && !c.tried[string(e.Value)] {
			return fmt.Errorf("entry %d of %v is %q: %w", e.Seq, a, e.Value, errForeign)
		}
		log = append(log, string(e.Value))
	}
	c.logs[a] = log
	return nil
}

// run commits until ctx ends; a commit that fails then has not failed.
func (c *Chatter) run(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		b := &store.Batch{}
		texts := make([]string, len(c.Addrs))
		for i, a := range c.Addrs {
			texts[i] = fmt.Sprintf("%s %d %v %s", c.name, n, a, strings.Repeat("x", 200))
			b.Changes = append(b.Changes, store.Change{
				Addr: a, Epoch: c.epochs[a.Slot()], First: im.Seq(len(c.logs[a]) + 1), Append: [][]byte{[]byte(texts[i])},
				Put: []store.Record{{Key: "h", Value: fmt.Append(nil, len(c.logs[a])+1)}},
			})
		}
		err := c.Store.Commit(ctx, b)
		switch {
		case err == nil:
			c.acked(texts)
		case ctx.Err() == nil:
			c.failed(texts)
			if err := c.recover(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
	return nil
}

func (c *Chatter) failed(texts []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recoveries++
	for _, text := range texts {
		c.tried[text] = true
	}
}

func (c *Chatter) acked(texts []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, a := range c.Addrs {
		c.logs[a] = append(c.logs[a], texts[i])
	}
	c.commits++
	now := time.Now()
	if !c.lastly.IsZero() {
		c.gap = max(c.gap, now.Sub(c.lastly))
	}
	c.lastly = now
}

// recover acquires the slots again, as long as that takes.
func (c *Chatter) recover(ctx context.Context) error {
	for {
		err := c.acquire(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, errForeign) {
			return err
		}
	}
}

// count is how many commits were acknowledged.
func (c *Chatter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.commits
}

// missing counts the acknowledged entries of a log that are not where they were.
func (c *Chatter) missing(s store.Store, a im.Addr) (lost int, err error) {
	es, err := s.ReadLog(context.Background(), a, 1, 1<<30, 1<<30)
	if err != nil {
		return 0, err
	}
	for i, text := range c.logs[a] {
		if i >= len(es) || string(es[i].Value) != text {
			lost++
		}
	}
	for _, e := range es[min(len(es), len(c.logs[a])):] {
		// The last commit was cut off when the test ended.
		if !strings.HasPrefix(string(e.Value), c.name+" ") {
			return lost, fmt.Errorf("entry %d of %v is %q: %w", e.Seq, a, e.Value, errForeign)
		}
	}
	return lost, nil
}

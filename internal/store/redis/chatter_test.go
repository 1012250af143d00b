package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/redis/redistest"
)

// chatter owns entities and appends to their logs, as a mailbox does: when it
// does not know what became of a commit, it acquires its slots again and takes
// what it finds.
type chatter struct {
	s      *Store
	name   string
	addrs  []im.Addr
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

// acquire makes the chatter the owner of its slots, and finds out what is in
// its logs.
func (c *chatter) acquire(ctx context.Context) error {
	var slots []im.Slot
	seen := map[im.Slot]bool{}
	for _, a := range c.addrs {
		if !seen[a.Slot()] {
			seen[a.Slot()] = true
			slots = append(slots, a.Slot())
		}
	}
	epochs, err := c.s.Acquire(ctx, c.name, slots)
	if err != nil {
		return err
	}
	for i, slot := range slots {
		c.epochs[slot] = epochs[i]
	}
	for _, a := range c.addrs {
		if err := c.find(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// find reads the end of a log.
func (c *chatter) find(ctx context.Context, a im.Addr) error {
	c.mu.Lock()
	known := c.logs[a]
	c.mu.Unlock()
	from := max(0, len(known)-100)
	es, err := c.s.ReadLog(ctx, a, im.Seq(from+1), 1<<20, 1<<30)
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
			return fmt.Errorf("entry %d of %v is %q, which nobody wrote", e.Seq, a, e.Value)
		}
		log = append(log, string(e.Value))
	}
	c.logs[a] = log
	return nil
}

// run commits until ctx ends.
func (c *chatter) run(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		b := &store.Batch{}
		texts := make([]string, len(c.addrs))
		for i, a := range c.addrs {
			texts[i] = fmt.Sprintf("%s %d %v %s", c.name, n, a, strings.Repeat("x", 200))
			b.Changes = append(b.Changes, store.Change{
				Addr: a, Epoch: c.epochs[a.Slot()], First: im.Seq(len(c.logs[a]) + 1), Append: [][]byte{[]byte(texts[i])},
				Put: []store.Record{{Key: "h", Value: []byte(fmt.Sprint(len(c.logs[a]) + 1))}},
			})
		}
		if err := c.s.Commit(ctx, b); err != nil {
			c.failed(texts)
			if err := c.recover(ctx); err != nil && ctx.Err() == nil {
				return err
			}
			continue
		}
		c.acked(texts)
	}
	return nil
}

func (c *chatter) failed(texts []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recoveries++
	for _, text := range texts {
		c.tried[text] = true
	}
}

func (c *chatter) acked(texts []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, a := range c.addrs {
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
func (c *chatter) recover(ctx context.Context) error {
	for {
		err := c.acquire(ctx)
		if err == nil || ctx.Err() != nil || strings.Contains(err.Error(), "nobody wrote") {
			return err
		}
	}
}

// chat is some chatters at work.
type chat struct {
	t        testing.TB
	chatters []*chatter
	opts     Options
	stop     context.CancelFunc
	done     chan error
}

// startChat lets chatters with stores of their own write to users all over
// the slots.
func startChat(t testing.TB, opts Options, chatters, users int) *chat {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &chat{t: t, opts: opts, stop: cancel, done: make(chan error, chatters)}
	t.Cleanup(cancel)
	id := uint64(0)
	for i := range chatters {
		ch := &chatter{
			s: mustOpen(t, opts), name: fmt.Sprintf("chatter%d", i),
			epochs: map[im.Slot]im.Epoch{}, logs: map[im.Addr][]string{}, tried: map[string]bool{},
		}
		for len(ch.addrs) < users {
			id++
			if a := im.User(im.UserID(id)); int(a.Slot())%chatters == i {
				ch.addrs = append(ch.addrs, a)
			}
		}
		if err := ch.acquire(ctx); err != nil {
			t.Fatal(err)
		}
		c.chatters = append(c.chatters, ch)
	}
	for _, ch := range c.chatters {
		go func() { c.done <- ch.run(ctx) }()
	}
	return c
}

// await waits until every chatter has made some more commits.
func (c *chat) await(more int) {
	c.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	enough := time.After(inVain)
	target := make([]int, len(c.chatters))
	for i, ch := range c.chatters {
		target[i] = ch.count() + more
	}
	for i, ch := range c.chatters {
		for ch.count() < target[i] {
			select {
			case err := <-c.done:
				c.t.Fatalf("a chatter has ended: %v", err)
			case <-tick.C:
			case <-enough:
				c.t.Fatalf("%s stands still\n%s", ch.name, servers.describe(c.opts.Addresses))
			}
		}
	}
}

// inVain is how long a test waits until it says that it does so in vain, and what
// the servers know: long enough for any failover, so that it decides nothing else.
const inVain = 3 * time.Minute

func (ch *chatter) count() int {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.commits
}

// chatResult is what a chat came to.
type chatResult struct {
	acked, lost, recoveries int
	gap                     time.Duration
}

// end stops the chatters, and compares all that was acknowledged to them with
// what a new store reads.
func (c *chat) end() chatResult {
	c.t.Helper()
	c.stop()
	for range c.chatters {
		if err := <-c.done; err != nil {
			c.t.Fatal(err)
		}
	}
	var r chatResult
	s := mustOpen(c.t, c.opts)
	for _, ch := range c.chatters {
		r.lost += ch.lost
		r.recoveries += ch.recoveries
		r.gap = max(r.gap, ch.gap)
		for _, a := range ch.addrs {
			r.acked += len(ch.logs[a])
			r.lost += c.missing(s, ch, a)
		}
	}
	return r
}

// missing counts the entries that are not where they were.
func (c *chat) missing(s *Store, ch *chatter, a im.Addr) int {
	c.t.Helper()
	es, err := s.ReadLog(context.Background(), a, 1, 1<<30, 1<<30)
	if err != nil {
		c.t.Fatal(err)
	}
	lost := 0
	for i, text := range ch.logs[a] {
		if i >= len(es) || string(es[i].Value) != text {
			lost++
		}
	}
	for _, e := range es[min(len(es), len(ch.logs[a])):] {
		// The last commit was cut off when the test ended.
		if !strings.HasPrefix(string(e.Value), ch.name+" ") {
			c.t.Fatalf("entry %d of %v is %q, which nobody wrote", e.Seq, a, e.Value)
		}
	}
	return lost
}

// primaryOf is the server that has the entity now.
func primaryOf(t testing.TB, servers *redistest.Cluster, prefix string, a im.Addr) *redistest.Server {
	t.Helper()
	s, err := servers.Owner(context.Background(), newKeyspace(prefix).places[a.Slot()])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// healthy restarts what is down and waits until the cluster is whole.
func healthy(t testing.TB, servers *redistest.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var failed error
	for _, s := range servers.Servers {
		if s.Down() {
			s.Kill()
			failed = errors.Join(failed, s.Restart())
		}
	}
	if err := errors.Join(failed, servers.AwaitReady(ctx)); err != nil {
		t.Fatal(err)
	}
}

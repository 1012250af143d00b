package storetest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/store"
)

// ChatConfig says who chats.
type ChatConfig struct {
	// Open returns a store on what all of them share, for a chatter or to look at
	// the end; whoever made it closes it.
	Open            func() store.Store
	Chatters, Users int // users of each chatter
	// Describe says what the servers know when a test waits in vain; it may be nil.
	Describe func() string
}

// Chat is some chatters at work, for tests in which servers fail meanwhile.
type Chat struct {
	Chatters []*Chatter

	t    testing.TB
	cfg  ChatConfig
	stop context.CancelFunc
	done chan error
}

// StartChat lets chatters with stores of their own write to users all over the
// slots.
func StartChat(t testing.TB, cfg ChatConfig) *Chat {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &Chat{t: t, cfg: cfg, stop: cancel, done: make(chan error, cfg.Chatters)}
	t.Cleanup(cancel)
	for i := range cfg.Chatters {
		ch := newChatter(cfg.Open(), i, cfg.Chatters, cfg.Users)
		if err := ch.acquire(ctx); err != nil {
			t.Fatal(err)
		}
		c.Chatters = append(c.Chatters, ch)
	}
	for _, ch := range c.Chatters {
		go func() { c.done <- ch.run(ctx) }()
	}
	return c
}

// Await waits until every chatter has made some more commits.
func (c *Chat) Await(more int) {
	c.t.Helper()
	target := make([]int, len(c.Chatters))
	for i, ch := range c.Chatters {
		target[i] = ch.count() + more
	}
	for i, ch := range c.Chatters {
		Await(c.t, fmt.Sprintf("%s commits", ch.name), c.cfg.Describe, func() bool {
			select {
			case err := <-c.done:
				c.t.Fatalf("a chatter has ended: %v", err)
			default:
			}
			return ch.count() >= target[i]
		})
	}
}

// Longest is the longest time until now that a chatter was without an
// acknowledgement.
func (c *Chat) Longest() (gap time.Duration) {
	for _, ch := range c.Chatters {
		ch.mu.Lock()
		gap = max(gap, ch.gap)
		ch.mu.Unlock()
	}
	return gap
}

// ChatResult is what a chat came to.
type ChatResult struct {
	Acked      int // entries
	Lost       int // of them
	Recoveries int // commits that failed
	Longest    time.Duration
}

func (r ChatResult) String() string {
	return fmt.Sprintf("%d entries acknowledged, %d lost, %d commits failed, longest interruption %v",
		r.Acked, r.Lost, r.Recoveries, r.Longest.Round(time.Millisecond))
}

// End stops the chatters, and compares all that was acknowledged to them with
// what a new store reads. The test has failed if anything is lost.
func (c *Chat) End() ChatResult {
	c.t.Helper()
	r, err := c.end()
	if err != nil {
		c.t.Fatal(err)
	}
	if r.Lost > 0 {
		c.t.Errorf("%d of %d acknowledged entries are gone", r.Lost, r.Acked)
	}
	return r
}

func (c *Chat) end() (r ChatResult, err error) {
	c.stop()
	for range c.Chatters {
		if err := <-c.done; err != nil {
			return r, err
		}
	}
	s := c.cfg.Open()
	r.Longest = c.Longest()
	for _, ch := range c.Chatters {
		r.Lost += ch.lost
		r.Recoveries += ch.recoveries
		for _, a := range ch.Addrs {
			lost, err := ch.missing(s, a)
			if err != nil {
				return r, err
			}
			r.Acked += len(ch.logs[a])
			r.Lost += lost
		}
	}
	return r, nil
}

// InVain is how long a test waits until it says that it does so in vain: long
// enough for any failover, so that it decides nothing else.
const InVain = 3 * time.Minute

// Await waits until something has happened. In vain, it fails the test with what
// describe says, if there is such.
func Await(t testing.TB, what string, describe func() string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	enough := time.After(InVain)
	for !happened() {
		select {
		case <-tick.C:
		case <-enough:
			if describe != nil {
				what += "\n" + describe()
			}
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// Trials is how often tests of failures are repeated, which an environment
// variable says; without it, once.
func Trials(variable string) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv(variable), "1"))
	if err != nil {
		panic(fmt.Sprintf("%s: %v", variable, err))
	}
	return n
}

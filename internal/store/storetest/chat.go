package storetest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/store"
)

// ChatConfig says who chats.
type ChatConfig struct {
	// Open returns a store on what all of them share, for a chatter or to look at
	// the end; whoever made it closes it.
	Open            func() store.Store
	Chatters, Users int // users of each chatter
	// Describe may be nil.
	Describe Description
}

// Description says what servers know, for a test that waits in vain: it is asked
// when it is printed.
type Description func() string

func (d Description) String() string {
	if d == nil {
		return ""
	}
	return d()
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
		if err := ch.recover(patience.Context(t)); err != nil {
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
		patience.Until(c.t, "commits of "+ch.name, func() (bool, any) {
			select {
			case err := <-c.done:
				c.t.Fatalf("a chatter has ended: %v", err)
			default:
			}
			return ch.count() >= target[i], c.cfg.Describe
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

// Trials is how often tests of failures are repeated, which an environment
// variable says; without it, once.
func Trials(variable string) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv(variable), "1"))
	if err != nil {
		panic(fmt.Sprintf("%s: %v", variable, err))
	}
	return n
}

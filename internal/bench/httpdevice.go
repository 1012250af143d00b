package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/skein-im/skein/client"
	"github.com/skein-im/skein/internal/im"
)

// httpDevice is a device that knows HTTP only: one request sends one message,
// and a long poll waits for what comes. Its sends wait for each other, since
// their numbers must arrive in order.
type httpDevice struct {
	counts
	chat *chat
	user int
	api  *client.API

	mu    sync.Mutex
	plan  *schedule
	begun bool
	// dues are the messages that were handed and not yet sent, with a rate.
	dues []int64
	wake chan struct{}
}

func newHTTPDevice(c *chat, user int, token string, plan *schedule) *httpDevice {
	d := &httpDevice{chat: c, user: user, api: c.api.WithToken(token), plan: plan, wake: make(chan struct{}, 1)}
	d.ledger = c.newLedger(user)
	return d
}

func (d *httpDevice) run(ctx context.Context, ready func()) {
	var last im.ClientSeq
	var cursor uint64
	err := d.try(ctx, func() error {
		c, err := d.api.Counters(ctx)
		last, cursor = im.ClientSeq(c.GetClientSeq()), c.GetHead()
		return err
	})
	if err != nil {
		return
	}
	ready()
	var tasks sync.WaitGroup
	tasks.Go(func() { d.receive(ctx, cursor) })
	if d.plan != nil {
		d.sendAll(ctx, last)
	}
	tasks.Wait()
}

// try repeats a request until it succeeds; it fails when ctx ends, and ends
// the run when the server refuses.
func (d *httpDevice) try(ctx context.Context, f func() error) error {
	for attempt := 0; ; attempt++ {
		err := f()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return err
		case !im.KindOf(err).Temporary():
			d.chat.failed.fail(fmt.Errorf("user %d: %w", d.user, err))
			return err
		}
		d.reconnects.Add(1)
		if !pause(ctx, backoff(attempt, retryAfter(err))) {
			return err
		}
	}
}

// pollWait and pollLimit are those of one long poll.
const (
	pollWait  = 30 * time.Second
	pollLimit = im.MaxSyncEntries
)

func (d *httpDevice) receive(ctx context.Context, cursor uint64) {
	for {
		var entries []client.Entry
		err := d.try(ctx, func() (err error) {
			entries, _, err = d.api.Sync(ctx, &cursor, pollLimit, pollWait)
			return err
		})
		if err != nil {
			return
		}
		now := d.chat.now()
		for i := range entries {
			e := &entries[i]
			if uint64(e.Seq) != cursor+1 {
				d.chat.failed.fail(fmt.Errorf("user %d: entry %d after %d", d.user, e.Seq, cursor))
				return
			}
			cursor++
			if e.Kind != client.Message || e.Outgoing {
				continue
			}
			if due, ok := d.ledger.take(e.Peer, e.Content.Body, now); ok {
				d.chat.delivered.record(d.user, now-due)
			}
		}
	}
}

func (d *httpDevice) sendAll(ctx context.Context, last im.ClientSeq) {
	body := make([]byte, d.chat.cfg.Body)
	for {
		friend, ordinal, due, ok := d.await(ctx)
		if !ok {
			return
		}
		s := d.chat.stamp(d.user, friend, ordinal, due)
		s.encode(body)
		last++
		err := d.try(ctx, func() error {
			_, err := d.api.Send(ctx, d.ledger.ids[friend], last, im.Content{Type: im.ContentCustom, Body: body})
			return err
		})
		if err != nil {
			d.refused.Add(1)
			return
		}
		now := d.chat.now()
		d.acked.Add(1)
		d.lastAck.Store(now)
		d.chat.acked.record(d.user, now-due)
	}
}

// await waits for the next message to send.
func (d *httpDevice) await(ctx context.Context) (friend int, ordinal uint32, due int64, ok bool) {
	for {
		d.mu.Lock()
		closedLoop := d.begun && d.chat.cfg.Rate == 0
		if closedLoop || len(d.dues) > 0 {
			defer d.mu.Unlock()
			if closedLoop {
				return d.next(d.chat.now())
			}
			due, d.dues = d.dues[0], d.dues[1:]
			friend, ordinal, _ = d.plan.next()
			return friend, ordinal, due, true
		}
		d.mu.Unlock()
		select {
		case <-d.wake:
		case <-ctx.Done():
			return 0, 0, 0, false
		}
	}
}

func (d *httpDevice) next(now int64) (friend int, ordinal uint32, due int64, ok bool) {
	if d.chat.over.Load() {
		return 0, 0, 0, false
	}
	if friend, ordinal, ok = d.plan.next(); ok {
		d.sent.Add(1)
	}
	return friend, ordinal, now, ok
}

func (d *httpDevice) begin() {
	d.mu.Lock()
	d.begun = true
	d.mu.Unlock()
	d.push()
}

func (d *httpDevice) hand(due int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.chat.over.Load() || !d.plan.left(len(d.dues)) {
		return false
	}
	d.dues = append(d.dues, due)
	d.sent.Add(1)
	return true
}

func (d *httpDevice) push() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// tick has nothing to do: the requests look after themselves.
func (d *httpDevice) tick() {}

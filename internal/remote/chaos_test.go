package remote

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/wire"
)

const (
	chaosUsers    = 6
	chaosMessages = 150
	chaosWindow   = 16
	chaosCuts     = 25
)

// TestChaos sends messages through links that are cut after random bytes. The
// users with odd numbers have a session that resumes as a gateway's does, the
// others send without one. In the end every message is in both timelines once,
// sessions have seen their timelines densely, and every command was completed
// exactly once.
func TestChaos(t *testing.T) {
	for _, seed := range []uint64{1, 2, uint64(time.Now().UnixNano())} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { chaos(t, seed) })
	}
}

func chaos(t *testing.T, seed uint64) {
	m := realMailbox(t, chaosUsers)
	ln, addr := listen(t, "tcp")
	serve(t, ln, ServerConfig{Mailbox: m, Window: 64})
	rng := rand.New(rand.NewPCG(seed, 1))
	cuts := 2 * chaosCuts
	p := newProxy(t, addr, func() int64 {
		if cuts--; cuts < 0 {
			return unlimited()
		}
		return rng.Int64N(1 << (9 + rng.IntN(7)))
	})
	c := connect(t, ClientConfig{Addr: p.addr(), Patience: time.Minute, Rand: func(int64) int64 { return 0 }})
	w := &chaosWorld{t: t, c: c}
	var devices []*chaosDevice
	for u := range chaosUsers {
		d := newChaosDevice(w, im.UserID(u+1), u%2 == 0)
		devices = append(devices, d)
	}
	var all sync.WaitGroup
	for _, d := range devices {
		all.Go(d.run)
	}
	for _, d := range devices {
		d.waitUntilSent()
	}
	for _, d := range devices {
		d.checkTimeline(m)
	}
	for _, d := range devices {
		d.stop()
	}
	all.Wait()
	st := c.Stats()
	t.Logf("%d links, %d commands, %d repeated, %d kicks, %d deliveries", st.Connects, st.Submitted, st.Repeated, st.Kicks, st.Deliveries)
	hangUp(c)
	if n := w.open.Load(); n != 0 {
		t.Errorf("%d commands were never completed", n)
	}
	if st := c.Stats(); st.Submitted != st.Completed || st.Sessions != 0 {
		t.Errorf("stats %+v", st)
	}
}

// chaosWorld is what the devices share.
type chaosWorld struct {
	t        *testing.T
	c        *Client
	sessions atomic.Uint64
	// open counts commands without an outcome.
	open atomic.Int64
}

// chaosDevice is a device together with what a gateway does for it.
type chaosDevice struct {
	w    *chaosWorld
	user im.UserID
	// inside: a call to this device is going on.
	inside atomic.Bool

	mu      sync.Mutex
	changed *sync.Cond
	// session is 0 while there is none; with wanted, one is made.
	session   im.SessionID
	attaching bool
	wanted    bool
	last      im.SessionID
	seen      im.Seq
	// next is the next to be sent, acked the last that was answered.
	next, acked im.ClientSeq
	outstanding int
	// rewind: a send failed; those from there on are repeated.
	rewind, stopped bool
}

func newChaosDevice(w *chaosWorld, u im.UserID, session bool) *chaosDevice {
	d := &chaosDevice{w: w, user: u, wanted: session, next: 1}
	d.changed = sync.NewCond(&d.mu)
	return d
}

// run sends everything, and has a session, until stop.
func (d *chaosDevice) run() {
	for {
		d.mu.Lock()
		for !d.ready() {
			d.changed.Wait()
		}
		switch {
		case d.wanted && d.session == 0 && !d.stopped:
			d.attach()
		case d.stopped:
			d.mu.Unlock()
			return
		default:
			d.send()
		}
	}
}

// ready reports whether there is something to do. The caller holds mu.
func (d *chaosDevice) ready() bool {
	if d.attaching {
		return false
	}
	if d.wanted && d.session == 0 {
		return true
	}
	if d.rewind {
		if d.outstanding > 0 {
			return false
		}
		d.rewind, d.next = false, d.acked+1
	}
	return d.stopped || d.next <= chaosMessages && d.outstanding < chaosWindow
}

func (d *chaosDevice) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	d.changed.Broadcast()
}

func (d *chaosDevice) waitUntilSent() {
	defer patience.Bound("messages to be taken")()
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.acked < chaosMessages {
		d.changed.Wait()
	}
}

// attach makes a session or resumes one. It releases mu.
func (d *chaosDevice) attach() {
	d.attaching = true
	at := &im.Attach{Device: 1, TokenHash: tokenOf(d.user), Session: im.SessionID(d.w.sessions.Add(1)), Login: 1}
	at.Sink = &chaosSink{d: d, session: at.Session}
	if d.last != 0 {
		at.Resume = &im.Resume{Session: d.last, After: d.seen}
	}
	d.mu.Unlock()
	d.submit(at)
}

// send submits the next message. It releases mu.
func (d *chaosDevice) send() {
	// A repeat goes to the same user.
	to := (d.user+im.UserID(d.next)%(chaosUsers-1))%chaosUsers + 1
	cmd := &im.Send{To: to, Device: 1, Session: d.session, ClientSeq: d.next, Content: im.Content{Type: im.ContentText, Body: []byte("hello")}}
	d.next++
	d.outstanding++
	d.mu.Unlock()
	d.submit(cmd)
}

func (d *chaosDevice) submit(cmd im.Command) {
	d.w.open.Add(1)
	d.w.c.Submit(im.User(d.user), cmd, &chaosCall{d: d})
}

// enter and leave hold that calls to a device never overlap.
func (d *chaosDevice) enter() {
	if d.inside.Swap(true) {
		d.w.t.Errorf("user %d: two calls at a time", d.user)
	}
}

func (d *chaosDevice) leave() { d.inside.Store(false) }

// chaosCall is a command in flight.
type chaosCall struct {
	d    *chaosDevice
	done atomic.Bool
}

func (k *chaosCall) Complete(cmd im.Command, res im.Result, err error) {
	d := k.d
	d.enter()
	defer d.leave()
	if k.done.Swap(true) {
		d.w.t.Errorf("user %d: %T was completed twice", d.user, cmd)
	}
	d.w.open.Add(-1)
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.changed.Broadcast()
	switch cmd := cmd.(type) {
	case *im.Attach:
		d.attached(cmd, res, err)
	case *im.Send:
		d.sent(cmd, res, err)
	}
}

func (d *chaosDevice) attached(cmd *im.Attach, res im.Result, err error) {
	d.attaching = false
	if err != nil {
		if im.KindOf(err) != im.Unavailable {
			d.w.t.Errorf("user %d: attach: %v", d.user, err)
		}
		return
	}
	if d.last == 0 {
		d.seen = res.(*im.Attached).Cursor
	}
	d.session, d.last = cmd.Session, cmd.Session
}

func (d *chaosDevice) sent(cmd *im.Send, res im.Result, err error) {
	d.outstanding--
	if err != nil {
		if k := im.KindOf(err); cmd.Session == 0 || k != im.Unavailable && k != im.SequenceGap {
			d.w.t.Errorf("user %d: send %d: %v", d.user, cmd.ClientSeq, err)
		}
		if cmd.Session != 0 && cmd.Session == d.session {
			d.w.t.Errorf("user %d: send %d failed with %v before the session was kicked", d.user, cmd.ClientSeq, err)
		}
		d.rewind = true
		return
	}
	sent := res.(*im.Sent)
	if sent.ClientSeq != cmd.ClientSeq {
		d.w.t.Errorf("user %d: send %d got the answer to %d", d.user, cmd.ClientSeq, sent.ClientSeq)
	}
	d.acked = max(d.acked, sent.ClientSeq)
	if sent.InTimeline && cmd.Session == d.session {
		d.saw(sent.Seq, sent.Seq)
	}
}

// saw notes that a session has seen entries, which must be the next ones.
func (d *chaosDevice) saw(first, last im.Seq) {
	if first != d.seen+1 {
		d.w.t.Errorf("user %d: entries %d to %d came after %d", d.user, first, last, d.seen)
	}
	d.seen = last
}

// chaosSink is a session's.
type chaosSink struct {
	d       *chaosDevice
	session im.SessionID
	kicked  bool
}

func (s *chaosSink) Deliver(first, last im.Seq, entries [][]byte) {
	d := s.d
	d.enter()
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.kicked || s.session != d.session || len(entries) != int(last-first)+1 {
		d.w.t.Errorf("user %d: %d entries %d to %d for session %d, the current one is %d", d.user, len(entries), first, last, s.session, d.session)
	}
	d.saw(first, last)
	d.submit(&im.AckDelivered{Device: 1, Session: s.session, Seq: last})
	d.changed.Broadcast()
}

func (s *chaosSink) Kick(code im.CloseCode, _ string) {
	d := s.d
	d.enter()
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.kicked || code != im.CloseUnavailable {
		d.w.t.Errorf("user %d: kicked with %d, before: %v", d.user, code, s.kicked)
	}
	s.kicked = true
	if s.session == d.session {
		d.session = 0
	}
	d.changed.Broadcast()
}

// checkTimeline: every message is there once, and a session has seen it all.
func (d *chaosDevice) checkTimeline(m *mailbox.Mailbox) {
	t := d.w.t
	head := func() im.Seq { return do(t, m, im.User(d.user), &im.Counters{Device: 1}).(*im.CountersInfo).Head }
	if d.wanted {
		eventually(t, func() bool {
			d.mu.Lock()
			seen := d.seen
			d.mu.Unlock()
			return seen == head()
		})
	}
	outgoing := im.ClientSeq(0)
	for at := im.Seq(0); at < head(); {
		page, err := d.w.c.ReadTimeline(within(t), d.user, at, 1000)
		if err != nil || len(page) == 0 {
			t.Fatalf("user %d: reading after %d: %d entries, %v", d.user, at, len(page), err)
		}
		for _, b := range page {
			var e wire.Entry
			if err := e.Unmarshal(b); err != nil || e.Seq != at+1 {
				t.Fatalf("user %d: entry %d follows %d, %v", d.user, e.Seq, at, err)
			}
			at = e.Seq
			if e.Kind == wire.EntryMessage && e.Outgoing {
				if outgoing++; e.ClientSeq != outgoing {
					t.Fatalf("user %d: message %d is where %d belongs", d.user, e.ClientSeq, outgoing)
				}
			}
		}
	}
	if outgoing != chaosMessages {
		t.Errorf("user %d: %d messages are in the timeline, want %d", d.user, outgoing, chaosMessages)
	}
}

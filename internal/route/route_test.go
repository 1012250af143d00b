package route

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// fakeLink is a node that answers as the test says.
type fakeLink struct {
	name     string
	w        *world
	sessions map[im.SessionID]bool
	closed   bool
	down     error
	answer   func(cmd im.Command) (im.Result, error)
	level    im.Level
}

func (l *fakeLink) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	l.w.log("%s: %s", l.name, what(cmd))
	if at, ok := cmd.(*im.Attach); ok {
		l.sessions[at.Session] = true
	}
	var res im.Result
	var err error
	if l.answer != nil {
		res, err = l.answer(cmd)
	}
	if done != nil {
		done.Complete(cmd, res, err)
	}
}

func (l *fakeLink) Offer(to im.Addr, cmd im.Command, done im.Completion) bool {
	id := im.SessionOf(cmd)
	if !l.sessions[id] {
		return false
	}
	if _, ok := cmd.(*im.Detach); ok {
		delete(l.sessions, id)
	}
	l.Submit(to, cmd, done)
	return true
}

func (l *fakeLink) ReadTimeline(context.Context, im.UserID, im.Seq, int) ([][]byte, error) {
	_, err := l.answer(nil)
	return [][]byte{[]byte(l.name)}, err
}

func (l *fakeLink) ReadConversation(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, nil
}

func (l *fakeLink) ReadStatement(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, nil
}

func (l *fakeLink) Forward(m *entity.Message) { l.w.log("%s: forward %d", l.name, m.Seq) }
func (l *fakeLink) Level() im.Level           { return l.level }
func (l *fakeLink) Health() error             { return l.down }
func (l *fakeLink) Close(context.Context)     { l.closed = true }

func (l *fakeLink) Announce(slots []im.Slot, epochs []im.Epoch) {
	l.w.log("%s: announce %v %v", l.name, slots, epochs)
}

func what(cmd im.Command) string {
	switch cmd := cmd.(type) {
	case *im.Attach:
		return fmt.Sprint("attach ", cmd.Session)
	case *im.Detach:
		return fmt.Sprint("detach ", cmd.Session)
	case *im.Send:
		return fmt.Sprint("send ", cmd.ClientSeq)
	}
	return fmt.Sprintf("%T", cmd)
}

// only places everything on one node.
type only string

func (o only) Owner(im.Slot) (cluster.Member, bool) {
	return cluster.Member{Node: string(o)}, o != ""
}

// world is a Mailbox with nodes a and b, on a clock of its own.
type world struct {
	t      *testing.T
	m      *Mailbox
	links  map[string]*fakeLink
	trace  []string
	now    time.Time
	timers []*timer
	stale  int
}

type timer struct {
	at      time.Time
	f       func()
	stopped bool
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, links: map[string]*fakeLink{}, now: time.Unix(1000, 0)}
	w.m = New(Config{
		Logger: slog.New(slog.DiscardHandler), Stale: func() { w.stale++ }, MaxWaiting: 3,
		Now: func() time.Time { return w.now }, Rand: func(int64) int64 { return 0 },
		After: func(d time.Duration, f func()) func() bool {
			tm := &timer{at: w.now.Add(d), f: f}
			w.timers = append(w.timers, tm)
			return func() bool { was := tm.stopped; tm.stopped = true; return !was }
		},
		Dial: func(m cluster.Member) (Link, error) {
			l := &fakeLink{name: m.Node, w: w, sessions: map[im.SessionID]bool{}, level: im.AnyLevel}
			w.links[m.Node] = l
			return l, nil
		},
	})
	w.place("a", "a", "b")
	return w
}

func (w *world) log(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// place says which nodes there are, and which of them serves everything.
func (w *world) place(owner string, nodes ...string) {
	var members []cluster.Member
	for _, n := range nodes {
		members = append(members, cluster.Member{Node: n, Roles: n + ":1", State: cluster.Up})
	}
	w.m.Update(members, only(owner))
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for {
		var next *timer
		for _, tm := range w.timers {
			if !tm.stopped && !tm.at.After(end) && (next == nil || tm.at.Before(next.at)) {
				next = tm
			}
		}
		if next == nil {
			w.now = end
			return
		}
		next.stopped, w.now = true, next.at
		next.f()
	}
}

func (w *world) want(trace ...string) {
	w.t.Helper()
	if !slices.Equal(w.trace, trace) {
		w.t.Errorf("got %q, want %q", w.trace, trace)
	}
	w.trace = nil
}

// outcome hears what became of a command.
func (w *world) outcome(name string) im.Completion {
	return im.CompletionFunc(func(_ im.Command, _ im.Result, err error) { w.log("%s: %v", name, im.KindOf(err)) })
}

var errMoved = &im.Error{Kind: im.Unavailable, Detail: "moved", Elsewhere: true}

// The commands of a session go where it was attached, whatever the placement says
// by then; only a new Attach follows it, and ends the session elsewhere.
func TestSessionsStayWhereTheyWereAttached(t *testing.T) {
	w := newWorld(t)
	u := im.User(1)
	w.m.Submit(u, &im.Attach{Session: 5}, nil)
	w.m.Submit(u, &im.Send{Session: 5, ClientSeq: 1}, nil)
	w.place("b", "a", "b")
	w.m.Submit(u, &im.Send{Session: 5, ClientSeq: 2}, nil)
	w.want("a: attach 5", "a: send 1", "a: send 2")
	w.m.Submit(u, &im.Attach{Session: 6, Resume: &im.Resume{Session: 5}}, nil)
	w.m.Submit(u, &im.Send{Session: 6, ClientSeq: 3}, nil)
	w.m.Submit(u, &im.Send{Session: 5, ClientSeq: 4}, w.outcome("late"))
	w.m.Submit(u, &im.Detach{Session: 5}, w.outcome("detach"))
	w.m.Submit(u, &im.Detach{Session: 6}, nil)
	w.want("a: detach 5", "b: attach 6", "b: send 3", "late: unavailable", "detach: unspecified", "b: detach 6")
	if st := w.m.Stats(); st.Unrouted != 1 {
		t.Errorf("%+v", st)
	}
}

// What another node is to be asked is repeated there, as soon as it is known; what
// may not be repeated, or has waited too long, is not.
func TestElsewhere(t *testing.T) {
	w := newWorld(t)
	u := im.User(1)
	moved := func(im.Command) (im.Result, error) { return nil, errMoved }
	w.links["a"].answer = moved
	w.m.Submit(u, &im.Counters{}, w.outcome("counters"))
	w.want("a: *im.Counters")
	if w.stale != 1 {
		t.Error("it did not ask for a new placement")
	}
	w.pass(minWait / 2)
	w.want("a: *im.Counters")
	w.place("b", "a", "b")
	w.pass(0)
	w.want("b: *im.Counters", "counters: unspecified")

	w.links["b"].answer = moved
	w.m.Submit(u, &im.Send{Session: 0, ClientSeq: 0}, w.outcome("send"))
	w.m.Submit(u, &im.Attach{Session: 7}, w.outcome("attach"))
	w.want("b: send 0", "send: unavailable", "b: attach 7", "attach: unavailable")
	w.m.Submit(u, &im.Counters{}, w.outcome("counters"))
	w.pass(DefaultPatience)
	if last := w.trace[len(w.trace)-1]; last != "counters: unavailable" {
		t.Errorf("in the end: %s", last)
	}
}

// Commands that are answered "unavailable" by a node that is gone are repeated at
// the next owner; other answers are final.
func TestNodeGone(t *testing.T) {
	w := newWorld(t)
	u := im.User(1)
	w.links["a"].answer = func(im.Command) (im.Result, error) {
		w.links["a"].answer = nil
		w.place("b", "b")
		return nil, unavailable("closed")
	}
	w.m.Submit(u, &im.Counters{}, w.outcome("counters"))
	w.pass(time.Second)
	w.want("a: *im.Counters", "b: *im.Counters", "counters: unspecified")
	w.links["b"].answer = func(im.Command) (im.Result, error) { return nil, im.Errorf(im.NotFound, "no") }
	w.m.Submit(u, &im.Counters{}, w.outcome("counters"))
	w.want("b: *im.Counters", "counters: not_found")
	w.m.closing.Wait()
	if !w.links["a"].closed || w.links["b"].closed {
		t.Error("the links to nodes that are gone are closed, and no others")
	}
}

// Without a node commands wait, a bounded number of them, and Close ends all.
func TestNobodyThere(t *testing.T) {
	w := newWorld(t)
	u := im.User(1)
	w.place("")
	for i := range 4 {
		w.m.Submit(u, &im.Counters{}, w.outcome(fmt.Sprint(i)))
	}
	w.m.Submit(u, &im.Attach{Session: 7}, w.outcome("attach"))
	w.want("3: unavailable", "attach: unavailable")
	if err := w.m.Health(); err == nil {
		t.Error("it is healthy without a node")
	}
	w.m.Forward(&entity.Message{To: u, Seq: 1})
	w.place("b", "b")
	w.m.Forward(&entity.Message{To: u, Seq: 2})
	w.pass(0)
	w.want("b: forward 2", "b: *im.Counters", "0: unspecified", "b: *im.Counters", "1: unspecified", "b: *im.Counters", "2: unspecified")
	w.place("")
	w.m.Submit(u, &im.Counters{}, w.outcome("last"))
	w.m.Close(t.Context())
	w.pass(time.Minute)
	w.want("last: unavailable")
	w.m.Submit(u, &im.Counters{}, w.outcome("after"))
	w.want("after: unavailable")
	if st := w.m.Stats(); st.Waiting != 0 || st.Dropped != 1 {
		t.Errorf("%+v", st)
	}
}

func TestReadsFollow(t *testing.T) {
	w := newWorld(t)
	w.links["a"].answer = func(im.Command) (im.Result, error) {
		w.place("b", "a", "b")
		return nil, unavailable("closed")
	}
	w.links["b"].answer = func(im.Command) (im.Result, error) { return nil, nil }
	page, err := w.m.ReadTimeline(t.Context(), 1, 0, 10)
	if err != nil || string(page[0]) != "b" {
		t.Errorf("%q, %v", page, err)
	}
}

// One node that cannot be reached does not make the others' users wait.
func TestHealthAndLevel(t *testing.T) {
	w := newWorld(t)
	w.links["a"].down = im.Errorf(im.Unavailable, "down")
	if err := w.m.Health(); err != nil {
		t.Error(err)
	}
	w.links["b"].down = w.links["a"].down
	if w.m.Health() == nil {
		t.Error("it is healthy without any node")
	}
	w.links["a"].level, w.links["b"].level = 5, 9
	if l := w.m.LevelFor(im.User(1)); l != 5 {
		t.Errorf("level %d", l)
	}
}

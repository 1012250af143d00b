package gateway

import (
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// obliging is a mailbox that answers everything in place, some of it with
// errors, and keeps count of sessions.
type obliging struct {
	im.Mailbox
	t        testing.TB
	mu       sync.Mutex
	attached map[im.SessionID]im.Sink
	// gone are the sessions it has lost or not let in: they may be detached.
	gone map[im.SessionID]bool
	// hold keeps Attach unanswered, in held; away lets nobody resume.
	hold, away bool
	held       []submitted
}

func newObliging(t testing.TB) *obliging {
	return &obliging{t: t, attached: map[im.SessionID]im.Sink{}, gone: map[im.SessionID]bool{}}
}

func (m *obliging) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	res, err := m.apply(submitted{to, cmd, done})
	if res == pending {
		return
	}
	done.Complete(cmd, res, err)
	if a, ok := cmd.(*im.Redeliver); ok && a.Seq%2 == 0 {
		m.mu.Lock()
		sink := m.attached[a.Session]
		m.mu.Unlock()
		if sink != nil {
			sink.Deliver(a.Seq+1, a.Seq+1, entriesOf(a.Seq+1, int(a.Seq%1000)))
		}
	}
}

// pending is the result of what is answered later.
const pending = "pending"

func (m *obliging) apply(s submitted) (im.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.to != im.User(alice) {
		m.t.Errorf("a command for %v", s.to)
	}
	switch cmd := s.cmd.(type) {
	case *im.Attach:
		return m.attach(s, cmd)
	case *im.Detach:
		if m.attached[cmd.Session] == nil && !m.gone[cmd.Session] {
			m.t.Error("Detach without Attach")
		}
		delete(m.attached, cmd.Session)
	case *im.Send:
		if cmd.Content.Check() != nil || cmd.ClientSeq == 0 || cmd.To == 0 || cmd.Device != phone {
			m.t.Errorf("the mailbox got %+v", cmd)
		}
		if cmd.ClientSeq%3 == 0 {
			return nil, im.Errorf(im.SequenceGap, "gap")
		}
		return &im.Sent{Seq: 1, ClientSeq: cmd.ClientSeq}, nil
	case *im.AckDelivered:
		if cmd.Seq > 1000 {
			return nil, im.Errorf(im.Invalid, "beyond the end")
		}
	}
	return nil, nil
}

// attach lets a session in, or not. The caller has the mutex.
func (m *obliging) attach(s submitted, cmd *im.Attach) (im.Result, error) {
	if m.away && cmd.Resume != nil {
		m.gone[cmd.Session] = true
		return nil, errGone
	}
	m.attached[cmd.Session] = cmd.Sink
	if m.hold {
		m.held = append(m.held, s)
		return pending, nil
	}
	return &im.Attached{Name: "alice"}, nil
}

// begin says which test is told what is wrong, and whether Attach is held.
func (m *obliging) begin(t testing.TB, hold bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.t, m.hold = t, hold
}

// lose makes the mailbox forget every session, and be away from then on.
func (m *obliging) lose() {
	m.mu.Lock()
	sinks := m.attached
	m.attached, m.away = map[im.SessionID]im.Sink{}, true
	for id := range sinks {
		m.gone[id] = true
	}
	m.mu.Unlock()
	for _, s := range sinks {
		s.Kick(im.CloseUnavailable, "moving")
	}
}

// settle makes the mailbox oblige again, answers what it has held, and returns
// how many sessions there are.
func (m *obliging) settle() int {
	m.mu.Lock()
	held := m.held
	m.hold, m.away, m.held = false, false, nil
	n := len(m.attached)
	m.mu.Unlock()
	for _, s := range held {
		s.complete(nil, errGone)
	}
	return n
}

// seedFrames are inputs that reach far.
func seedFrames(f *testing.F) (hello []byte, seeds [][]byte) {
	hello, err := wire.AppendMessage(nil, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret})
	if err != nil {
		f.Fatal(err)
	}
	frames := sendFrame(1, text("hello"))
	frames = append(frames, sendFrame(3, text("hello"))...)
	frames = append(frames, ackFrame(3)...)
	frames = append(frames, pullFrame(4)...)
	frames = wire.AppendFrame(frames, wire.TypeCall, []byte{0x08, 1, 0x12, 1, 'm'})
	for campaign := range im.CampaignID(2) {
		frames = wire.AppendShakeFrame(frames, &wire.Shake{ID: 5, Campaign: campaign})
	}
	withCursor, err := wire.AppendMessage(nil, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret, Cursor: proto.Uint64(7)})
	if err != nil {
		f.Fatal(err)
	}
	return hello, [][]byte{
		frames, hello, withCursor, append(hello, hello...), {5, 0xff, 0xff, 0xff, 0xff},
		wire.AppendFrame(wire.AppendPing(nil), wire.TypeClose, nil),
		wire.AppendFrame(nil, wire.TypePing, make([]byte, wire.MaxPing)),
	}
}

// FuzzSession sends a session arbitrary bytes in each of its states, on virtual
// time: it must end with a goodbye or when the client does, and be forgotten.
func FuzzSession(f *testing.F) {
	hello, seeds := seedFrames(f)
	for st := range uint8(left) {
		for _, b := range seeds {
			f.Add(st, b)
		}
	}
	f.Fuzz(func(t *testing.T, st uint8, data []byte) {
		if state(st%uint8(left)) == fresh && len(data) > 0 && data[0] >= 'A' && data[0] <= 'Z' {
			t.Skip("HTTP is the link's business")
		}
		synctest.Test(t, func(t *testing.T) { fuzzSession(t, state(st%uint8(left)), hello, data) })
	})
}

func fuzzSession(t *testing.T, st state, hello, data []byte) {
	mbox := newObliging(t)
	mbox.begin(t, st == attaching)
	r := newRig(t, func(g *Config, _ *link.Config) { g.Mailbox, g.Now, g.Shaker = mbox, time.Now, &desk{} })
	c := r.dial(t)
	_ = c.SetReadDeadline(time.Time{})
	if st != fresh {
		c.write(hello)
	}
	if st == live || st == resuming {
		c.read(wire.TypeWelcome)
	}
	if st == resuming {
		mbox.lose()
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		// The server may hang up before it has read everything.
		_ = c.Write(data)
		_ = c.Write(wire.AppendFrame(nil, wire.TypeClose, nil))
	})
	readToTheEnd(t, c)
	c.Close()
	writing.Wait()
	r.stop(t)
	if n := mbox.settle(); n != 0 {
		t.Errorf("%d sessions are left in the mailbox", n)
	}
}

// readToTheEnd reads what the server sends until it hangs up.
func readToTheEnd(t *testing.T, c *client) {
	last := wire.Type(0)
	for {
		typ, _, err := c.ReadFrame()
		if err != nil {
			// Half a frame at the end of data swallows the goodbye; the
			// silence behind it is found out too.
			if last != wire.TypeClose {
				t.Errorf("the link ended with %v after a %v frame", err, last)
			}
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("the link ended with %v", err)
			}
			return
		}
		if last = typ; typ == wire.TypeHello || typ == wire.TypeSend || !typ.Known() {
			t.Errorf("the server sent a %v frame", typ)
		}
	}
}

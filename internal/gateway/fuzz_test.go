package gateway

import (
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// obliging is a mailbox that answers everything in place, some of it with
// errors, and keeps count of sessions.
type obliging struct {
	im.Mailbox
	t        *testing.T
	mu       sync.Mutex
	attached map[im.SessionID]bool
	// hold keeps Attach unanswered.
	hold bool
}

func (m *obliging) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	if to != im.User(alice) {
		m.t.Errorf("a command for %v", to)
	}
	res, err, answer := m.apply(cmd)
	if answer {
		done.Complete(cmd, res, err)
	}
	if a, ok := cmd.(*im.Redeliver); ok && a.Seq%2 == 0 {
		done.(im.Sink).Deliver(a.Seq+1, a.Seq+1, entriesOf(a.Seq+1, int(a.Seq%1000)))
	}
}

func (m *obliging) apply(cmd im.Command) (res im.Result, err error, answer bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch cmd := cmd.(type) {
	case *im.Attach:
		m.attached[cmd.Session] = true
		return &im.Attached{Name: "alice"}, nil, !m.hold
	case *im.Detach:
		if !m.attached[cmd.Session] {
			m.t.Error("Detach without Attach")
		}
		delete(m.attached, cmd.Session)
	case *im.Send:
		if cmd.Content.Check() != nil || cmd.ClientSeq == 0 || cmd.To == 0 || cmd.Device != phone {
			m.t.Errorf("the mailbox got %+v", cmd)
		}
		if cmd.ClientSeq%3 == 0 {
			return nil, im.Errorf(im.SequenceGap, "gap"), true
		}
		return &im.Sent{Seq: 1, ClientSeq: cmd.ClientSeq}, nil, true
	case *im.AckDelivered:
		if cmd.Seq > 1000 {
			return nil, im.Errorf(im.Invalid, "beyond the end"), true
		}
	}
	return nil, nil, true
}

// FuzzLiveGateway sends a session arbitrary bytes in each of its states: it
// must end with a goodbye or when the client does, and be forgotten.
func FuzzLiveGateway(f *testing.F) {
	frames := sendFrame(1, text("hello"))
	frames = append(frames, ackFrame(3)...)
	frames = append(frames, pullFrame(4)...)
	frames = wire.AppendFrame(frames, wire.TypeCall, []byte{0x08, 1, 0x12, 1, 'm'})
	hello, err := wire.AppendMessage(nil, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret})
	if err != nil {
		f.Fatal(err)
	}
	for st := range uint8(left) {
		f.Add(st, frames)
		f.Add(st, hello)
		f.Add(st, append(hello, hello...))
		f.Add(st, []byte{5, 0xff, 0xff, 0xff, 0xff})
		f.Add(st, wire.AppendFrame(wire.AppendPing(nil), wire.TypeClose, nil))
	}
	f.Fuzz(func(t *testing.T, st uint8, data []byte) {
		if state(st%uint8(left)) == fresh && len(data) > 0 && data[0] >= 'A' && data[0] <= 'Z' {
			t.Skip("HTTP is the link's business")
		}
		synctest.Test(t, func(t *testing.T) { fuzzSession(t, state(st%uint8(left)), hello, data) })
	})
}

func fuzzSession(t *testing.T, st state, hello, data []byte) {
	mbox := &obliging{t: t, attached: map[im.SessionID]bool{}, hold: st == attaching}
	r := newRig(t, func(g *Config, _ *link.Config) { g.Mailbox = mbox })
	c := r.dial(t)
	_ = c.SetReadDeadline(time.Time{})
	if st != fresh {
		c.write(hello)
	}
	if st == live {
		c.read(wire.TypeWelcome)
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		// The server may hang up before it has read everything.
		_ = c.Write(data)
		_ = c.Write(wire.AppendFrame(nil, wire.TypeClose, nil))
	})
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
			break
		}
		if last = typ; typ == wire.TypeHello || typ == wire.TypeSend || !typ.Known() {
			t.Errorf("the server sent a %v frame", typ)
		}
	}
	c.Close()
	writing.Wait()
	r.stop(t)
	if len(mbox.attached) != 0 {
		t.Errorf("%d sessions are left in the mailbox", len(mbox.attached))
	}
}

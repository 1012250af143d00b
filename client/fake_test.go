package client

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// fakeServer is one user's mailbox behind in-memory links, with one device.
type fakeServer struct {
	t     testing.TB
	tasks sync.WaitGroup

	mu        sync.Mutex
	clientSeq im.ClientSeq
	answers   map[im.ClientSeq]wire.SendAck
	accepted  []string
	log       []wire.Entry
	cursor    im.Seq
	link      *fakeLink
	// dials are the addresses that were tried, hellos what was said.
	dials  []dialed
	hellos []*skeinv1.Hello
	pings  int
	acks   []im.Seq
	bye    *skeinv1.Close

	// What goes wrong, decided by the tests, called with mu held.
	refuseDial func(addr string) error
	// greet may answer Hello with something else.
	greet func() *skeinv1.Close
	// onSend may refuse a send for now, or cut the link after taking it.
	onSend func(m *wire.Send) (refuse *im.Error, cut bool)
	onCall func(m *skeinv1.Call) *skeinv1.Answer
	// onShake may leave the answer to the test.
	onShake func(m wire.Shake) *im.Shaken
	mute    bool
	// window is how many entries are sent without being acknowledged.
	window    int
	heartbeat time.Duration
	// generation is the timeline's, kept where the last loss left it.
	generation uint64
	kept       im.Seq
}

type dialed struct {
	addr string
	at   time.Time
}

func newFakeServer(t testing.TB) *fakeServer {
	s := &fakeServer{t: t, answers: map[im.ClientSeq]wire.SendAck{}, window: 1024, heartbeat: time.Minute}
	t.Cleanup(s.tasks.Wait)
	return s
}

// fakeLink is one connection: next is the entry to deliver next.
type fakeLink struct {
	srv      *fakeServer
	up, down chan []byte
	closed   chan struct{}
	once     sync.Once
	rest     []byte
	next     im.Seq
	acked    im.Seq
}

func (s *fakeServer) dial(_ context.Context, addr string) (transport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials = append(s.dials, dialed{addr, time.Now()})
	if s.refuseDial != nil {
		if err := s.refuseDial(addr); err != nil {
			return nil, err
		}
	}
	l := &fakeLink{srv: s, up: make(chan []byte, 4096), down: make(chan []byte, 4096), closed: make(chan struct{})}
	s.tasks.Go(l.serve)
	return l, nil
}

// ReadFrame implements transport.
func (l *fakeLink) ReadFrame() (wire.Type, []byte, error) {
	for len(l.rest) == 0 {
		select {
		case l.rest = <-l.down:
		default:
			select {
			case l.rest = <-l.down:
			case <-l.closed:
				return 0, nil, io.EOF
			}
		}
	}
	t, payload, n, err := wire.Parse(l.rest, im.MaxServerFrame)
	if err != nil || n == 0 {
		return 0, nil, errors.New("half a frame")
	}
	l.rest = l.rest[n:]
	return t, payload, nil
}

// Write implements transport.
func (l *fakeLink) Write(frames []byte) error {
	select {
	case <-l.closed:
		return io.ErrClosedPipe
	default:
	}
	l.up <- slices.Clone(frames)
	return nil
}

// Close implements transport.
func (l *fakeLink) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *fakeLink) serve() {
	for {
		select {
		case b := <-l.up:
			l.srv.mu.Lock()
			for len(b) > 0 {
				t, payload, n, err := wire.Parse(b, im.MaxClientFrame)
				if err != nil || n == 0 {
					l.srv.t.Errorf("the client wrote half a frame: %v", err)
					break
				}
				l.take(t, payload)
				b = b[n:]
			}
			l.srv.mu.Unlock()
		case <-l.closed:
			l.srv.mu.Lock()
			if l.srv.link == l {
				l.srv.link = nil
			}
			l.srv.mu.Unlock()
			return
		}
	}
}

func (l *fakeLink) say(frame []byte) {
	if !l.srv.mute {
		l.down <- frame
	}
}

func (l *fakeLink) sayMessage(t wire.Type, m proto.Message) {
	frame, err := wire.AppendMessage(nil, t, m)
	if err != nil {
		l.srv.t.Error(err)
	}
	l.say(frame)
}

func (l *fakeLink) take(t wire.Type, payload []byte) {
	s := l.srv
	must := func(err error) {
		if err != nil {
			s.t.Error(err)
		}
	}
	switch t {
	case wire.TypeHello:
		m := new(skeinv1.Hello)
		must(wire.UnmarshalMessage(payload, m))
		s.hellos = append(s.hellos, m)
		l.welcome(m)
	case wire.TypeSend:
		var m wire.Send
		must(m.Unmarshal(payload))
		l.send(&m)
	case wire.TypeAck:
		var m wire.Ack
		must(m.Unmarshal(payload))
		s.acks = append(s.acks, m.Seq)
		s.cursor, l.acked = max(s.cursor, m.Seq), max(l.acked, m.Seq)
		l.pump()
	case wire.TypePull:
		var m wire.Pull
		must(m.Unmarshal(payload))
		l.next, l.acked = m.Seq+1, m.Seq
		l.pump()
	case wire.TypePing:
		s.pings++
		l.say(wire.AppendPong(nil))
	case wire.TypeCall:
		m := new(skeinv1.Call)
		must(wire.UnmarshalMessage(payload, m))
		if a := s.onCall(m); a != nil {
			a.Id = m.GetId()
			l.sayMessage(wire.TypeAnswer, a)
		}
	case wire.TypeShake:
		var m wire.Shake
		must(m.Unmarshal(payload))
		if out := s.onShake(m); out != nil {
			l.say(wire.AppendShakenFrame(nil, &wire.Shaken{ID: m.ID, Shaken: *out}))
		}
	case wire.TypeClose:
		s.bye = new(skeinv1.Close)
		must(wire.UnmarshalMessage(payload, s.bye))
	default:
		s.t.Errorf("the client wrote a %v", t)
	}
}

func (l *fakeLink) welcome(m *skeinv1.Hello) {
	s := l.srv
	if s.greet != nil {
		if bye := s.greet(); bye != nil {
			l.sayMessage(wire.TypeClose, bye)
			return
		}
	}
	cursor := s.cursor
	if m.Cursor != nil {
		cursor = im.Seq(m.GetCursor())
	}
	var kept *uint64
	if m.Generation != nil && m.GetGeneration() != s.generation {
		kept, cursor = proto.Uint64(uint64(s.kept)), min(cursor, s.kept)
	}
	s.link, l.next, l.acked = l, cursor+1, cursor
	l.sayMessage(wire.TypeWelcome, &skeinv1.Welcome{
		Generation: &s.generation, Kept: kept,
		User: 7, Device: 2, Name: "alice", Head: uint64(len(s.log)), Cursor: uint64(cursor),
		ClientSeq: uint64(s.clientSeq), HeartbeatMs: uint32(s.heartbeat.Milliseconds()), SendWindow: 256,
	})
	l.pump()
}

func (l *fakeLink) send(m *wire.Send) {
	s := l.srv
	a, known := s.answers[m.ClientSeq]
	cut := false
	switch {
	case known:
	case m.ClientSeq != s.clientSeq+1:
		a = wire.SendAck{Error: &im.Error{Kind: im.SequenceGap, Expected: s.clientSeq + 1}}
	default:
		var refuse *im.Error
		if s.onSend != nil {
			refuse, cut = s.onSend(m)
		}
		if a = (wire.SendAck{Error: refuse}); refuse == nil || refuse.Kind == im.NotContact {
			a = l.accept(m, refuse)
		}
	}
	if cut {
		l.Close()
		return
	}
	a.ClientSeq = m.ClientSeq
	l.say(wire.AppendSendAckFrame(nil, &a))
}

func (l *fakeLink) accept(m *wire.Send, refuse *im.Error) wire.SendAck {
	s := l.srv
	s.clientSeq++
	e := wire.Entry{Seq: im.Seq(len(s.log) + 1)}
	a := wire.SendAck{Error: refuse}
	if refuse == nil {
		e.Kind, e.Peer, e.Outgoing, e.Device, e.ClientSeq = wire.EntryMessage, m.To, true, 2, m.ClientSeq
		s.accepted = append(s.accepted, string(m.Content.Body))
		a.Seq, a.PairID, a.Time = e.Seq, uint64(len(s.accepted)), 1000
	}
	s.log = append(s.log, e)
	s.answers[m.ClientSeq] = a
	if l.next == e.Seq && a.Seq != 0 {
		l.next++
		a.InTimeline = true
	}
	return a
}

// pump delivers what the link's window has room for, a few at a time.
func (l *fakeLink) pump() {
	for l.next != 0 && int(l.next) <= len(l.srv.log) && int(l.next-l.acked-1) < l.srv.window {
		var entries [][]byte
		for len(entries) < 3 && int(l.next) <= len(l.srv.log) {
			entries = append(entries, wire.AppendEntry(nil, &l.srv.log[l.next-1]))
			l.next++
		}
		l.say(wire.AppendDeliverFrame(nil, entries))
	}
}

// arrive adds incoming messages to the timeline.
func (s *fakeServer) arrive(bodies ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range bodies {
		s.log = append(s.log, wire.Entry{
			Seq: im.Seq(len(s.log) + 1), Kind: wire.EntryMessage, Peer: 9, Time: 1000, Content: Text(b),
		})
	}
	if s.link != nil {
		s.link.pump()
	}
}

// lose loses the end of the timeline, and the link.
func (s *fakeServer) lose(entries int) {
	s.mu.Lock()
	s.generation++
	s.log = s.log[:len(s.log)-entries]
	s.kept = im.Seq(len(s.log))
	s.cursor = min(s.cursor, s.kept)
	s.mu.Unlock()
	s.cut(nil)
}

// cut ends the link without a word, or with one.
func (s *fakeServer) cut(bye *skeinv1.Close) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil {
		return
	}
	if bye != nil {
		s.link.sayMessage(wire.TypeClose, bye)
		return
	}
	s.link.Close()
}

// look runs f with the server's state.
func (s *fakeServer) look(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

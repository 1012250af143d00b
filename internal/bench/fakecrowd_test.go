//go:build linux

package bench

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// crowdServer does what a server does for a crowd, in memory, and in its own
// way where a test says so.
type crowdServer struct {
	t     *testing.T
	first im.UserID
	// heartbeatMS is the interval that devices are told; 0: 2,000,
	// which no machine is too busy for.
	heartbeatMS uint32
	// hello, ping, admit, deliver and notify replace what the server would
	// do with a connection's frames, for users by number, when they return
	// true.
	hello func(c link.Conn, user int) bool
	ping  func(c link.Conn, user int, payload []byte) bool
	// admit decides on a send; 0: it is accepted.
	admit func(user int, seq im.ClientSeq) im.ErrorKind
	// deliver says how often a message is delivered.
	deliver func(user int, pair uint64) int
	notify  func(user int) (copies int)
	// count changes what the server says of a user's messages.
	count func(user int, c *skeinv1.CountersResponse)
	// welcomed is told of those who were welcomed.
	welcomed func(id im.UserID)
	// other takes frames, and call calls of the API, that no crowd makes.
	other func(c link.Conn, id im.UserID, typ wire.Type, payload []byte)
	call  func(user im.UserID, method string, body []byte) (proto.Message, error)

	mu    sync.Mutex
	users map[im.UserID]*crowdUser
}

type crowdUser struct {
	conn           link.Conn
	lastSeq        im.ClientSeq
	head           im.Seq
	sent, received uint64
	greeted        int
}

func (s *crowdServer) user(id im.UserID) *crowdUser {
	u := s.users[id]
	if u == nil {
		u = new(crowdUser)
		s.users[id] = u
	}
	return u
}

func (s *crowdServer) Open(link.Conn)          {}
func (s *crowdServer) Closed(link.Conn, error) {}

func (s *crowdServer) Frame(c link.Conn, typ wire.Type, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if typ == wire.TypeHello {
		s.welcome(c, payload)
		return
	}
	id, ok := c.Value().(im.UserID)
	if !ok {
		return
	}
	number := int(id - s.first)
	switch typ {
	case wire.TypePing:
		if s.ping == nil || !s.ping(c, number, payload) {
			_ = c.Send(wire.AppendFrame(nil, wire.TypePong, payload))
		}
	case wire.TypeSend:
		s.send(c, id, payload)
	default:
		if s.other != nil {
			s.other(c, id, typ, payload)
		}
	}
}

func (s *crowdServer) welcome(c link.Conn, payload []byte) {
	m := new(skeinv1.Hello)
	if err := wire.UnmarshalMessage(payload, m); err != nil {
		s.t.Error(err)
	}
	id, _, _, err := account.ParseToken(m.GetToken())
	if err != nil {
		s.t.Error(err)
	}
	u := s.user(id)
	u.greeted++
	if s.hello != nil && s.hello(c, int(id-s.first)) {
		return
	}
	c.SetValue(id)
	c.SetMaxFrame(im.MaxClientFrame)
	u.conn = c
	s.sendMessage(c, wire.TypeWelcome, &skeinv1.Welcome{
		User: uint64(id), Device: 1, Head: uint64(u.head), Cursor: uint64(u.head), ClientSeq: uint64(u.lastSeq), HeartbeatMs: cmp.Or(s.heartbeatMS, 2000),
	})
	if s.welcomed != nil {
		s.welcomed(id)
	}
}

func (s *crowdServer) sendMessage(c link.Conn, t wire.Type, m proto.Message) {
	frame, err := wire.AppendMessage(nil, t, m)
	if err != nil {
		s.t.Error(err)
	}
	_ = c.Send(frame)
}

func (s *crowdServer) send(c link.Conn, id im.UserID, payload []byte) {
	var m wire.Send
	if err := m.Unmarshal(payload); err != nil {
		s.t.Error(err)
		return
	}
	u, ack := s.user(id), wire.SendAck{ClientSeq: m.ClientSeq}
	var kind im.ErrorKind
	if m.ClientSeq != u.lastSeq+1 {
		kind = im.SequenceGap
	} else if s.admit != nil {
		kind = s.admit(int(id-s.first), m.ClientSeq)
	}
	if kind != 0 {
		ack.Error = &im.Error{Kind: kind, RetryAfterMS: 5, Expected: u.lastSeq + 1}
		_ = c.Send(wire.AppendSendAckFrame(nil, &ack))
		return
	}
	u.lastSeq++
	u.head++
	u.sent++
	ack.Seq, ack.InTimeline, ack.PairID = u.head, true, u.sent
	_ = c.Send(wire.AppendSendAckFrame(nil, &ack))
	copies := 1
	if s.deliver != nil {
		copies = s.deliver(int(id-s.first), u.sent)
	}
	friend := s.user(m.To)
	for range copies {
		friend.head++
		friend.received++
		_ = friend.conn.Send(wire.AppendDeliverFrame(nil, [][]byte{wire.AppendEntry(nil, &wire.Entry{
			Seq: friend.head, Kind: wire.EntryMessage, Peer: id, PairID: u.sent,
			Content: im.Content{Type: m.Content.Type, Body: bytes.Clone(m.Content.Body)},
		})}))
	}
}

// ServeHTTP is the API.
func (s *crowdServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var res proto.Message
	switch path.Base(r.URL.Path) {
	case "Provision":
		res = &skeinv1.ProvisionResponse{}
	case "Notify":
		res = s.notifyAll(body)
	case "Counters":
		res = s.counters(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	default:
		user, _, _, _ := account.ParseToken(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) // 0: the operator
		if res, err = s.call(user, path.Base(r.URL.Path), body); err != nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"code":"not_found"}`))
			return
		}
	}
	b, err := proto.Marshal(res)
	if err != nil {
		s.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/proto")
	_, _ = w.Write(b)
}

func (s *crowdServer) notifyAll(body []byte) proto.Message {
	req := new(skeinv1.NotifyRequest)
	if err := proto.Unmarshal(body, req); err != nil {
		s.t.Error(err)
	}
	for id, u := range s.users {
		copies := 1
		if s.notify != nil {
			copies = s.notify(int(id - s.first))
		}
		for range copies {
			s.sendMessage(u.conn, wire.TypeNotice, &skeinv1.Notice{Id: 1, Content: req.GetContent()})
		}
	}
	return &skeinv1.NotifyResponse{Id: 1}
}

func (s *crowdServer) counters(token string) proto.Message {
	id, _, _, err := account.ParseToken(token)
	if err != nil {
		s.t.Error(err)
	}
	u := s.user(id)
	c := &skeinv1.CountersResponse{SendId: u.sent, RecvId: u.received}
	if s.count != nil && u.sent > 0 {
		s.count(int(id-s.first), c)
	}
	return c
}

// serve lets the server run, and points a target at it.
func (s *crowdServer) serve(t *testing.T, to *Target) {
	t.Helper()
	s.t, s.users = t, map[im.UserID]*crowdUser{}
	ln, err := link.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	links := link.NewServer(link.Config{Handler: s, CloseTimeout: time.Second})
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := links.Serve(ln); err != nil {
			t.Error(err)
		}
	})
	api := httptest.NewServer(s)
	t.Cleanup(func() {
		if err := links.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		serving.Wait()
		api.Close()
	})
	to.Links, to.HTTP, to.OperatorToken = []string{"tcp://" + ln.Addr().String()}, api.URL, "operator"
	to.Program = os.Args[0]
}

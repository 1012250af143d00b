package bench

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// wrongServer has two users, accepts whatever they write, and delivers it in
// its own way.
type wrongServer struct {
	// wrong is what becomes of the messages that one user wrote so far:
	// it returns those to deliver now.
	wrong func(written []wire.Entry) []wire.Entry
	// refuse makes it refuse instead.
	refuse im.ErrorKind

	mu    sync.Mutex
	links map[im.UserID]link.Conn
	users [3]struct {
		written []wire.Entry
		seq     im.Seq
	}
}

func (s *wrongServer) Open(link.Conn)          {}
func (s *wrongServer) Closed(link.Conn, error) {}

func (s *wrongServer) Frame(c link.Conn, typ wire.Type, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch typ {
	case wire.TypeHello:
		m := new(skeinv1.Hello)
		if err := wire.UnmarshalMessage(payload, m); err != nil {
			panic(err)
		}
		user, _, _, err := account.ParseToken(m.GetToken())
		if err != nil {
			panic(err)
		}
		c.SetMaxFrame(im.MaxClientFrame)
		c.SetValue(user)
		s.links[user] = c
		frame, err := wire.AppendMessage(nil, wire.TypeWelcome, &skeinv1.Welcome{User: uint64(user), Device: 1})
		if err != nil {
			panic(err)
		}
		_ = c.Send(frame)
	case wire.TypeSend:
		var m wire.Send
		if err := m.Unmarshal(payload); err != nil {
			panic(err)
		}
		s.send(c, c.Value().(im.UserID), &m)
	}
}

func (s *wrongServer) send(c link.Conn, from im.UserID, m *wire.Send) {
	ack := wire.SendAck{ClientSeq: m.ClientSeq, Seq: 1}
	if s.refuse != 0 {
		ack.Error = &im.Error{Kind: s.refuse}
	}
	_ = c.Send(wire.AppendSendAckFrame(nil, &ack))
	if s.refuse != 0 {
		return
	}
	u := &s.users[from]
	content := im.Content{Type: m.Content.Type, Body: bytes.Clone(m.Content.Body)}
	u.written = append(u.written, wire.Entry{Kind: wire.EntryMessage, Peer: from, Content: content})
	var entries [][]byte
	for _, e := range s.wrong(u.written) {
		s.users[m.To].seq++
		e.Seq = s.users[m.To].seq
		entries = append(entries, wire.AppendEntry(nil, &e))
	}
	if len(entries) > 0 {
		_ = s.links[m.To].Send(wire.AppendDeliverFrame(nil, entries))
	}
}

// TestChatFindsWhatServersDoWrong is the reason to trust a good result.
func TestChatFindsWhatServersDoWrong(t *testing.T) {
	last := func(w []wire.Entry) []wire.Entry { return w[len(w)-1:] }
	for name, tc := range map[string]struct {
		wrong  func([]wire.Entry) []wire.Entry
		refuse im.ErrorKind
		want   Tally
	}{
		"nothing": {last, 0, Tally{Acked: 20, Delivered: 20}},
		"loses": {func(w []wire.Entry) []wire.Entry {
			if len(w) == 3 {
				return nil
			}
			return last(w)
		}, 0, Tally{Acked: 20, Delivered: 18, Lost: 2}},
		"repeats": {func(w []wire.Entry) []wire.Entry {
			if len(w) == 10 {
				return []wire.Entry{w[9], w[0], w[9]}
			}
			return last(w)
		}, 0, Tally{Acked: 20, Delivered: 20, Duplicated: 4}},
		"reorders": {func(w []wire.Entry) []wire.Entry {
			switch len(w) {
			case 4:
				return nil
			case 5:
				return []wire.Entry{w[4], w[3]}
			}
			return last(w)
		}, 0, Tally{Acked: 20, Delivered: 20, Reordered: 2}},
		"damages": {func(w []wire.Entry) []wire.Entry {
			e := w[len(w)-1]
			if len(w) == 2 {
				e.Content.Body = slices.Clone(e.Content.Body)
				e.Content.Body[50] ^= 1
			}
			return []wire.Entry{e}
		}, 0, Tally{Acked: 20, Delivered: 18, Lost: 2, Damaged: 2}},
		"refuses": {nil, im.NotContact, Tally{Refused: 20, Lost: 20}},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := chatWith(t, &wrongServer{wrong: tc.wrong, refuse: tc.refuse, links: map[im.UserID]link.Conn{}})
			if stalled := err != nil && strings.Contains(err.Error(), "nothing has arrived"); stalled != (tc.want.Lost > 0) {
				t.Fatalf("error %v", err)
			}
			tc.want.Sent, tc.want.Expected = 20, 20
			if res.Tally != tc.want || res.Good != (name == "nothing") {
				t.Errorf("good %v, %+v\nwant %+v", res.Good, res.Tally, tc.want)
			}
			var sum strings.Builder
			res.WriteSummary(&sum)
			if strings.Contains(sum.String(), "NOT GOOD") == res.Good {
				t.Errorf("summary %q", sum.String())
			}
		})
	}
}

func chatWith(t *testing.T, s *wrongServer) (*ChatResult, error) {
	t.Helper()
	ln, err := link.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	links := link.NewServer(link.Config{Handler: s})
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := links.Serve(ln); err != nil {
			t.Error(err)
		}
	})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/proto")
	}))
	defer api.Close()
	cfg := DefaultChatConfig()
	cfg.Users, cfg.Friends, cfg.Messages = 2, 1, 10
	cfg.Link, cfg.HTTP, cfg.OperatorToken = "tcp://"+ln.Addr().String(), api.URL, "operator"
	cfg.Stall = 500 * time.Millisecond
	res, err := Chat(t.Context(), cfg)
	if serr := links.Shutdown(context.Background()); serr != nil {
		t.Error(serr)
	}
	serving.Wait()
	return res, err
}

package remote

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/store/memstore"
)

// realMailbox is a mailbox node on a store in memory, with users who are all
// friends.
func realMailbox(t testing.TB, users int) *mailbox.Mailbox {
	t.Helper()
	cfg := mailbox.DefaultConfig()
	cfg.Logger = discard()
	m := mailbox.New(cfg, memstore.New(time.Now))
	if err := m.Start(within(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	for u := 1; u <= users; u++ {
		var friends []im.UserID
		for f := 1; f <= users; f++ {
			if f != u {
				friends = append(friends, im.UserID(f))
			}
		}
		do(t, m, im.User(im.UserID(u)), &im.Provision{Friends: friends, TokenHashes: [][32]byte{tokenOf(im.UserID(u))}})
	}
	return m
}

func tokenOf(u im.UserID) [32]byte { return sha256.Sum256([]byte{byte(u), byte(u >> 8)}) }

type recorder struct {
	delivered chan im.Seq
	kicked    chan im.CloseCode
}

func (r *recorder) Deliver(first, last im.Seq, entries [][]byte) {
	for s := first; s <= last; s++ {
		r.delivered <- s
	}
}

func (r *recorder) Kick(code im.CloseCode, reason string) { r.kicked <- code }

func TestMessageThroughALink(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ln, addr := listen(t, network)
			serve(t, ln, ServerConfig{Mailbox: realMailbox(t, 2)})
			c := connect(t, ClientConfig{Addr: addr})
			r := &recorder{make(chan im.Seq, 10), make(chan im.CloseCode, 1)}
			do(t, c, im.User(2), &im.Attach{Device: 1, TokenHash: tokenOf(2), Session: 7, Sink: r})
			res := do(t, c, im.User(1), &im.Send{To: 2, Device: 1, ClientSeq: 1, Content: im.Content{Type: im.ContentText, Body: []byte("hello")}})
			if s := res.(*im.Sent); s.ClientSeq != 1 || s.Seq == 0 {
				t.Fatalf("sent %+v", s)
			}
			seq := <-r.delivered
			entries, err := c.ReadTimeline(within(t), 2, seq-1, 10)
			if err != nil || len(entries) != 1 {
				t.Fatalf("read %d entries, %v", len(entries), err)
			}
			hangUp(c)
			if code := <-r.kicked; code != im.CloseUnavailable {
				t.Fatalf("kicked with %d", code)
			}
		})
	}
}

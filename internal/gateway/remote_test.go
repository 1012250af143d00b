package gateway

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	mailboxrole "github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/store/memstore"
	"github.com/skein-im/skein/internal/wire"
)

// backend is a mailbox node behind role links that can be cut, and that can
// die and start again on the same store.
type backend struct {
	t      *testing.T
	store  *memstore.Store
	secret []byte
	// front is where clients connect; their bytes are carried on to back.
	front net.Listener
	tasks sync.WaitGroup

	mu      sync.Mutex
	back    string
	carried map[net.Conn]bool
	stop    func()
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{t: t, store: memstore.New(time.Now), secret: make([]byte, remote.MinSecret), carried: map[net.Conn]bool{}}
	var err error
	if b.front, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.tasks.Go(b.carry)
	t.Cleanup(func() {
		b.front.Close()
		b.cut()
		b.stop()
		b.tasks.Wait()
	})
	return b
}

// start starts the node.
func (b *backend) start() {
	cfg := mailboxrole.DefaultConfig()
	cfg.Shards, cfg.Logger, cfg.Admission.Threshold = 2, slog.New(slog.DiscardHandler), 0
	m := mailboxrole.New(cfg, b.store)
	if err := m.Start(context.Background()); err != nil {
		b.t.Fatal(err)
	}
	srv, err := remote.NewServer(remote.ServerConfig{Mailbox: m, Secret: b.secret, Node: "mailbox", Logger: cfg.Logger})
	if err != nil {
		b.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	b.back = ln.Addr().String()
	b.mu.Unlock()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	b.stop = func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = srv.Shutdown(ctx)
		if err := <-served; err != nil {
			b.t.Error(err)
		}
		m.Stop()
	}
}

// restart ends the node, and starts another.
func (b *backend) restart() {
	b.stop()
	b.start()
}

// carry takes connections and carries their bytes.
func (b *backend) carry() {
	for {
		from, err := b.front.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		to, err := net.Dial("tcp", b.back)
		if err == nil {
			b.carried[from], b.carried[to] = true, true
			b.tasks.Go(func() { _, _ = io.Copy(from, to); from.Close(); to.Close() })
			b.tasks.Go(func() { _, _ = io.Copy(to, from); from.Close(); to.Close() })
		} else {
			from.Close()
		}
		b.mu.Unlock()
	}
}

// cut breaks every role link.
func (b *backend) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.carried {
		c.Close()
	}
	clear(b.carried)
}

// newRemoteRig is a rig whose mailbox is b, in front of which it stands.
func newRemoteRig(t *testing.T, b *backend) (*rig, im.Mailbox) {
	t.Helper()
	c, err := remote.NewClient(remote.ClientConfig{
		Addr: b.front.Addr().String(), Secret: b.secret, Node: "gateway", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(g *Config, _ *link.Config) {
		g.Mailbox, g.ParseToken, g.Now, g.Rand = c, parseUser, time.Now, nil
	})
	t.Cleanup(func() {
		r.stop(t)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		c.Close(ctx)
	})
	return r, c
}

// parseUser reads tokens that are users' numbers.
func parseUser(token string) (im.UserID, im.DeviceID, [32]byte, error) {
	var user im.UserID
	_, err := fmt.Sscan(token, &user)
	return user, 1, sha256.Sum256([]byte(token)), err
}

// enter logs a user in.
func (r *rig) enter(t *testing.T, user im.UserID) *client {
	t.Helper()
	c := r.dial(t)
	c.write(message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: fmt.Sprint(user)}))
	c.read(wire.TypeWelcome)
	return c
}

// Clients of a gateway whose mailbox loses its links and dies, again and again,
// notice nothing: every message is answered once and arrives once, in order, on
// connections that stay open.
func TestRemoteMailboxGoesAway(t *testing.T) {
	const n, cuts, restarts = 1000, 8, 2
	b := newBackend(t)
	r, mbox := newRemoteRig(t, b)
	for user, friend := range map[im.UserID]im.UserID{1: 2, 2: 1} {
		cmd := &im.Provision{Friends: []im.UserID{friend}, TokenHashes: [][32]byte{sha256.Sum256(fmt.Append(nil, user))}}
		if _, err := im.Do(t.Context(), mbox, im.User(user), cmd); err != nil {
			t.Fatal(err)
		}
	}
	from, to := r.enter(t, 1), r.enter(t, 2)
	answers := make(chan struct{}, n)
	var all sync.WaitGroup
	all.Go(func() { sendAll(from, n, answers) })
	all.Go(func() { receiveAll(to, n) })
	all.Go(func() {
		for i := range cuts + restarts {
			for range n / (cuts + restarts + 1) {
				<-answers
			}
			if i%(cuts/restarts+1) == 0 {
				b.restart()
			} else {
				b.cut()
			}
		}
	})
	all.Wait()
	if st := r.g.Stats(); st.Resumed < cuts || st.Logins != 2 || st.Resuming != 0 || st.Sessions != 2 {
		t.Errorf("stats %+v", st)
	}
	from.Close()
	to.Close()
}

// sendAll sends n messages, a window at a time, and sees each answered once and
// every entry of the timeline once, in order.
func sendAll(c *client, n int, answers chan<- struct{}) {
	defer close(answers)
	const window = 64
	got, next, shown := 0, 1, im.Seq(0)
	unanswered := map[im.ClientSeq]bool{}
	saw := func(seq im.Seq) {
		if seq != shown+1 {
			c.t.Errorf("the sender is shown entry %d after %d", seq, shown)
		}
		shown = seq
	}
	for got < n && !c.t.Failed() {
		for ; next <= n && next <= got+window; next++ {
			unanswered[im.ClientSeq(next)] = true
			if err := c.Write(wire.AppendSendFrame(nil, &wire.Send{To: 2, ClientSeq: im.ClientSeq(next), Content: text(fmt.Sprint(next))})); err != nil {
				c.t.Errorf("send %d: %v", next, err)
				return
			}
		}
		typ, payload, err := c.ReadFrame()
		switch {
		case err != nil:
			c.t.Errorf("the sender after %d answers: %v", got, err)
			return
		case typ == wire.TypeDeliver:
			eachSeq(c, payload, func(e *wire.Entry) { saw(e.Seq) })
		case typ == wire.TypeSendAck:
			var a wire.SendAck
			// An answer that was lost comes again, behind later ones perhaps.
			if err := a.Unmarshal(payload); err != nil || a.Error != nil || !unanswered[a.ClientSeq] || a.PairID != uint64(a.ClientSeq) {
				c.t.Errorf("answer %d is %+v, %v", got+1, a, err)
				return
			}
			delete(unanswered, a.ClientSeq)
			if a.InTimeline {
				saw(a.Seq)
			}
			got++
			answers <- struct{}{}
			if got%50 == 0 {
				_ = c.Write(ackFrame(shown))
			}
		default:
			c.t.Errorf("the sender gets a %v frame %q", typ, payload)
			return
		}
	}
}

// receiveAll sees n messages arrive once and in order.
func receiveAll(c *client, n int) {
	shown, got := im.Seq(0), 0
	for got < n && !c.t.Failed() {
		typ, payload, err := c.ReadFrame()
		if err != nil || typ != wire.TypeDeliver {
			c.t.Errorf("the receiver gets a %v frame %q after %d messages, %v", typ, payload, got, err)
			return
		}
		eachSeq(c, payload, func(e *wire.Entry) {
			if e.Seq != shown+1 {
				c.t.Errorf("the receiver is shown entry %d after %d", e.Seq, shown)
			}
			shown = e.Seq
			if e.Kind == wire.EntryMessage {
				if got++; string(e.Content.Body) != fmt.Sprint(got) {
					c.t.Errorf("message %d is %q", got, e.Content.Body)
				}
			}
		})
		if err := c.Write(ackFrame(shown)); err != nil {
			c.t.Error(err)
		}
	}
}

func eachSeq(c *client, payload []byte, f func(e *wire.Entry)) {
	err := wire.RangeDeliver(payload, func(b []byte) error {
		var e wire.Entry
		err := e.Unmarshal(b)
		f(&e)
		return err
	})
	if err != nil {
		c.t.Error(err)
	}
}

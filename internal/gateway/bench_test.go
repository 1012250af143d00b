package gateway

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// batcher is a mailbox that, like a shard, takes what has gathered and answers
// all of it at once.
type batcher struct {
	im.Mailbox
	mu    sync.Mutex
	queue []submitted
	wake  chan struct{}
	sent  im.Sent
}

func (m *batcher) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	m.mu.Lock()
	m.queue = append(m.queue, submitted{to, cmd, done})
	first := len(m.queue) == 1
	m.mu.Unlock()
	if first {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

func (m *batcher) run(ctx context.Context) {
	var batch []submitted
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		}
		m.mu.Lock()
		batch, m.queue = m.queue, batch[:0]
		m.mu.Unlock()
		for _, s := range batch {
			switch s.cmd.(type) {
			case *im.Attach:
				s.complete(&im.Attached{}, nil)
			case *im.Send:
				s.complete(&m.sent, nil)
			default:
				s.complete(nil, nil)
			}
		}
	}
}

// BenchmarkSend sends messages of 256 bytes over TCP, a window at a time, to a
// mailbox that answers in batches; the figures are per message.
func BenchmarkSend(b *testing.B) {
	const window = im.SendWindow / 2
	var batch []byte
	for i := range window {
		batch = append(batch, sendFrame(im.ClientSeq(i+1), text(strings.Repeat("x", 256)))...)
	}
	benchFrames(b, window, batch)
}

// BenchmarkShake is likewise for shakes that get nothing.
func BenchmarkShake(b *testing.B) {
	const window = 128
	var batch []byte
	for i := range uint64(window) {
		batch = wire.AppendShakeFrame(batch, &wire.Shake{ID: 1<<20 + i, Campaign: 1})
	}
	benchFrames(b, window, batch)
}

// benchFrames sends a batch of n frames, each of which is answered, again and
// again.
func benchFrames(b *testing.B, n int, batch []byte) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	mbox := &batcher{wake: make(chan struct{}, 1), sent: im.Sent{Seq: 1 << 20, ClientSeq: 1 << 20, PairID: 300, Time: 1790000000000}}
	var running sync.WaitGroup
	running.Go(func() { mbox.run(ctx) })
	g, err := New(Config{
		Mailbox: mbox, ParseToken: parseToken, Logger: slog.New(slog.DiscardHandler),
		NextSession: func() im.SessionID { return 1 }, Shaker: &desk{},
	})
	if err != nil {
		b.Fatal(err)
	}
	srv := link.NewServer(link.Config{Handler: g})
	ln, err := link.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	running.Go(func() { _ = srv.Serve(ln) })
	c, err := link.Dial(ctx, "tcp://"+ln.Addr().String(), link.DialOptions{})
	if err != nil {
		b.Fatal(err)
	}
	benchLink(b, c, srv, n, batch)
	c.Close()
	_ = srv.Shutdown(ctx)
	cancel()
	running.Wait()
}

func benchLink(b *testing.B, c *link.ClientConn, srv *link.Server, n int, batch []byte) {
	hello, err := wire.AppendMessage(nil, wire.TypeHello, proto.Message(&skeinv1.Hello{Version: 1, Token: secret}))
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Write(hello); err != nil {
		b.Fatal(err)
	}
	if _, _, err := c.ReadFrame(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += n {
		if err := c.Write(batch); err != nil {
			b.Fatal(err)
		}
		for range n {
			if _, _, err := c.ReadFrame(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(srv.Stats().Writes)/float64(b.N), "writes/op")
}

// silent is a connection on which nothing is written.
type silent struct{ value any }

func (*silent) Send([]byte) error                              { return nil }
func (*silent) Close(im.CloseCode, string)                     {}
func (*silent) CloseRetry(im.CloseCode, string, time.Duration) {}
func (*silent) CloseTo(im.CloseCode, string, []string)         {}
func (*silent) RemoteAddr() net.Addr                           { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1} }
func (*silent) SetIdle(time.Duration)                          {}
func (*silent) SetMaxFrame(int)                                {}
func (c *silent) Value() any                                   { return c.value }
func (c *silent) SetValue(v any)                               { c.value = v }

// BenchmarkLogin logs a device in and out, without a link and with a mailbox that
// answers in place.
func BenchmarkLogin(b *testing.B) {
	g, err := New(Config{
		Mailbox: newObliging(b), ParseToken: parseToken, Logger: slog.New(slog.DiscardHandler),
		NextSession: func() im.SessionID { return 1 },
	})
	if err != nil {
		b.Fatal(err)
	}
	hello, err := proto.Marshal(&skeinv1.Hello{Version: 1, Token: secret, Cursor: proto.Uint64(7), Agent: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c := new(silent)
		g.Open(c)
		g.Frame(c, wire.TypeHello, hello)
		g.Closed(c, nil)
	}
	if n := g.Stats().Logins; n < uint64(b.N) {
		b.Fatalf("%d logins", n)
	}
}

package mailbox

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/pebble"
	"github.com/skein-im/skein/internal/trace"
)

// BenchmarkMessages is the mailbox with store and without links: each message
// is sent, stored twice, delivered and acknowledged, on a real disk.
func BenchmarkMessages(b *testing.B) { benchmarkMessages(b, nil, nil) }

// BenchmarkTraced is the same with a share of the messages traced. Compare the
// lines of one run.
func BenchmarkTraced(b *testing.B) {
	for _, percent := range []float64{0, 1, 100} {
		b.Run(fmt.Sprintf("percent=%v", percent), func(b *testing.B) {
			benchmarkMessages(b, trace.New(trace.Options{}), trace.NewSampler(percent, nil, 1))
		})
	}
}

func benchmarkMessages(b *testing.B, traces *trace.Recorder, sampler *trace.Sampler) {
	const users, friends, window = 1000, 30, 16
	log := slog.New(slog.DiscardHandler)
	st, err := pebble.Open(b.TempDir(), pebble.Options{Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	cfg := DefaultConfig()
	cfg.Logger = log
	cfg.Admission.Threshold = 0
	cfg.Core.Traces = traces
	m := New(cfg, st)
	if err := m.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	defer m.Stop()
	all := make([]*benchUser, users)
	for i := range all {
		u := &benchUser{m: m, id: im.UserID(i + 1), window: make(chan struct{}, window), traces: traces, sampler: sampler}
		for f := range friends {
			u.friends = append(u.friends, im.UserID((i+f*7+1)%users+1))
		}
		all[i] = u
	}
	both := map[im.UserID][]im.UserID{}
	for _, u := range all {
		for _, f := range u.friends {
			both[u.id] = append(both[u.id], f)
			both[f] = append(both[f], u.id)
		}
	}
	delivered := make(chan struct{}, 1)
	for _, u := range all {
		u.done = delivered
		hash := sha256.Sum256([]byte{byte(u.id)})
		if _, err := im.Do(context.Background(), m, im.User(u.id), &im.Provision{Friends: both[u.id], TokenHashes: [][32]byte{hash}}); err != nil {
			b.Fatal(err)
		}
		if _, err := im.Do(context.Background(), m, im.User(u.id), &im.Attach{Device: 1, TokenHash: hash, Session: im.SessionID(u.id), Sink: u}); err != nil {
			b.Fatal(err)
		}
	}
	var left counter
	left.n = b.N
	for _, u := range all {
		u.left = &left
	}
	body := make([]byte, 256)
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	before := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i, u := range all {
		n := b.N / users
		if i < b.N%users {
			n++
		}
		wg.Go(func() { u.send(n, body) })
	}
	<-delivered
	wg.Wait()
	b.StopTimer()
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	cpu := time.Duration(usage.Utime.Nano()+usage.Stime.Nano()) - before
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	stats := m.Stats()
	b.ReportMetric(float64(stats.Commits)/float64(b.N), "commits/op")
	b.ReportMetric(float64(stats.Records)/float64(b.N), "records/op")
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) take(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n -= n
	return c.n == 0
}

type benchUser struct {
	m       *Mailbox
	id      im.UserID
	friends []im.UserID
	window  chan struct{}
	left    *counter
	done    chan struct{}
	traces  *trace.Recorder
	sampler *trace.Sampler
}

func (u *benchUser) send(n int, body []byte) {
	for i := range n {
		u.window <- struct{}{}
		to := u.friends[rand.IntN(len(u.friends))]
		cmd := &im.Send{To: to, Device: 1, Session: im.SessionID(u.id), ClientSeq: im.ClientSeq(i + 1),
			Content: im.Content{Type: im.ContentText, Body: body}}
		if id := u.sampler.Pick(uint64(u.id)<<32|uint64(i), u.id, 0); id != 0 {
			cmd.Trace = &im.Trace{ID: id, At: u.traces.Now()}
		}
		u.m.Submit(im.User(u.id), cmd, u)
	}
}

func (u *benchUser) Complete(_ im.Command, _ im.Result, err error) {
	if err != nil {
		panic(err)
	}
	<-u.window
}

// Deliver counts incoming messages; its own ones come in the answers.
func (u *benchUser) Deliver(_, last im.Seq, entries [][]byte) {
	u.m.Submit(im.User(u.id), &im.AckDelivered{Device: 1, Session: im.SessionID(u.id), Seq: last}, nil)
	if u.left.take(len(entries)) {
		u.done <- struct{}{}
	}
}

// Kick comes when the mailbox stops.
func (u *benchUser) Kick(im.CloseCode, string) {}

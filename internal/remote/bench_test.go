package remote

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// echo answers every Send at once, on the goroutine that submits, as a mailbox
// that costs nothing.
type echo struct{ im.Mailbox }

func (echo) Submit(_ im.Addr, cmd im.Command, done im.Completion) {
	var res im.Result
	switch cmd := cmd.(type) {
	case *im.Send:
		res = &im.Sent{Seq: 1 << 20, ClientSeq: cmd.ClientSeq, PairID: 1 << 20, Time: 1790000000000, InTimeline: true}
	case *im.Attach:
		res = &im.Attached{}
		defer func() { cmd.Sink.Deliver(1, 1, [][]byte{make([]byte, 300)}) }()
	}
	if done != nil {
		done.Complete(cmd, res, nil)
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// window lets so many commands be in flight.
type window chan struct{}

func (w window) Complete(_ im.Command, _ im.Result, err error) {
	if err != nil {
		panic(err)
	}
	<-w
}

// BenchmarkSubmit is the round trip of a Send of 256 bytes with some in
// flight, both ends in this process, without a mailbox's work.
func BenchmarkSubmit(b *testing.B) {
	for _, network := range []string{"tcp", "unix"} {
		for _, inFlight := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/%d", network, inFlight), func(b *testing.B) {
				ln, addr := listen(b, network)
				serve(b, ln, ServerConfig{Mailbox: echo{}})
				benchmarkSends(b, connect(b, ClientConfig{Addr: addr}), inFlight)
			})
		}
	}
}

func benchmarkSends(b *testing.B, c im.Mailbox, inFlight int) {
	do(b, c, im.User(1), &im.Send{To: 2, ClientSeq: 1})
	w := make(window, inFlight)
	cmd := &im.Send{To: 1 << 33, Device: 1, Session: 9, ClientSeq: 5000, Content: im.Content{Type: im.ContentText, Body: make([]byte, 256)}}
	before := cpuTime()
	b.ReportAllocs()
	for b.Loop() {
		w <- struct{}{}
		c.Submit(im.User(1<<33), cmd, w)
	}
	for range cap(w) {
		w <- struct{}{}
	}
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// BenchmarkMailbox is what the link adds to the work of a mailbox with a store
// in memory: users send, each to another, and the answers come back.
func BenchmarkMailbox(b *testing.B) {
	const users, inFlight = 50, 256
	m := realMailbox(b, users)
	ln, addr := listen(b, "tcp")
	serve(b, ln, ServerConfig{Mailbox: m})
	c := connect(b, ClientConfig{Addr: addr})
	seqs := make([]im.ClientSeq, users)
	content := im.Content{Type: im.ContentText, Body: make([]byte, 256)}
	for _, way := range []struct {
		name string
		m    im.Mailbox
	}{{"direct", m}, {"link", c}} {
		b.Run(way.name, func(b *testing.B) {
			w := make(window, inFlight)
			before := cpuTime()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w <- struct{}{}
				u := i % users
				seqs[u]++
				to := im.UserID((u+1)%users + 1)
				way.m.Submit(im.User(im.UserID(u+1)), &im.Send{To: to, Device: 1, ClientSeq: seqs[u], Content: content}, w)
			}
			for range cap(w) {
				w <- struct{}{}
			}
			b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkLoss is the loss of a link with as many sessions as a gateway
// process has, until all are attached again.
func BenchmarkLoss(b *testing.B) {
	const n = 19000
	m := newFakeMailbox()
	ln, addr := listen(b, "tcp")
	serve(b, ln, ServerConfig{Mailbox: m})
	p := newProxy(b, addr, unlimited)
	c := connect(b, ClientConfig{Addr: p.addr()})
	var attached sync.WaitGroup
	var next atomic.Uint64
	attached.Add(n)
	for range n {
		(&returning{c: c, next: &next, attached: &attached}).attach()
	}
	attached.Wait()
	for b.Loop() {
		attached.Add(n)
		b.ReportMetric(n, "sessions/op")
		p.cutAll()
		attached.Wait()
		m.forget()
	}
}

// returning is a session that attaches again when it is kicked.
type returning struct {
	c        *Client
	next     *atomic.Uint64
	last     im.SessionID
	attached *sync.WaitGroup
}

func (r *returning) attach() {
	resume := &im.Resume{Session: r.last}
	r.last = im.SessionID(r.next.Add(1))
	r.c.Submit(im.User(1), &im.Attach{Session: r.last, Resume: resume, Sink: r}, r)
}

func (r *returning) Complete(_ im.Command, _ im.Result, err error) {
	switch {
	case err == nil:
		r.attached.Done()
	case !r.c.isClosing():
		r.attach()
	}
}

func (r *returning) Deliver(_, _ im.Seq, _ [][]byte) {}
func (r *returning) Kick(im.CloseCode, string)       { r.attach() }

// BenchmarkDeliver is one entry of 300 bytes on its way to a session.
func BenchmarkDeliver(b *testing.B) {
	ln, addr := listen(b, "tcp")
	m := newFakeMailbox()
	serve(b, ln, ServerConfig{Mailbox: m})
	c := connect(b, ClientConfig{Addr: addr})
	var got sync.WaitGroup
	do(b, c, im.User(1), &im.Attach{Device: 1, Session: 1, Sink: counting{&got}})
	sink := m.sink(im.User(1))
	entries := [][]byte{make([]byte, 300)}
	before := cpuTime()
	b.ReportAllocs()
	w := 0
	for b.Loop() {
		got.Add(1)
		sink.Deliver(1, 1, entries)
		if w++; w%256 == 0 {
			got.Wait()
		}
	}
	got.Wait()
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

type counting struct{ *sync.WaitGroup }

func (c counting) Deliver(_, _ im.Seq, entries [][]byte) { c.Done() }
func (c counting) Kick(im.CloseCode, string)             {}

// BenchmarkSessions is what a session costs the client's table.
func BenchmarkSessions(b *testing.B) {
	const n = 19000
	sink := im.Sink(counting{})
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var t table[im.Sink]
		for i := range n {
			t.put(im.SessionID(i+1), sink)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "bytes/session")
		runtime.KeepAlive(&t)
	}
}

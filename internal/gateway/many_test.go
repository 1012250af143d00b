//go:build linux

package gateway

import (
	"context"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
)

// lean is a mailbox that lets everybody in and remembers nothing.
type lean struct{ im.Mailbox }

func (lean) Submit(_ im.Addr, cmd im.Command, done im.Completion) {
	switch cmd.(type) {
	case *im.Attach:
		done.Complete(cmd, &im.Attached{Name: "alice", Head: 50, Cursor: 41}, nil)
	default:
		done.Complete(cmd, nil, nil)
	}
}

// serve runs a gateway on the epoll engine, and returns where.
func serve(t testing.TB) (g *Gateway, url string) {
	t.Helper()
	var sessions atomic.Uint64
	g, err := New(Config{
		Mailbox: lean{}, ParseToken: parseToken, Logger: slog.New(slog.DiscardHandler),
		NextSession: func() im.SessionID { return im.SessionID(sessions.Add(1)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := link.NewServer(link.Config{Handler: g, Engine: link.EngineEpoll})
	ln, err := link.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return g, "tcp://" + ln.Addr().String()
}

// residentBytes is the memory of this process.
func residentBytes(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`RssAnon:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatal("the system does not tell the resident memory")
	}
	kb, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// memory is what a session takes: of the process just logged in, after a garbage
// collection and after a load, and of the heap.
type memory struct{ opened, idle, loaded, heap float64 }

func measureMemory(t testing.TB, n int) (m memory) {
	t.Helper()
	_, url := serve(t)
	// The first ones pay for what all share.
	startPeer(t, url, 100)(5)
	debug.FreeOSMemory()
	before, heap := residentBytes(t), heapBytes()
	per := func() float64 { return float64(residentBytes(t)-before) / float64(n) }
	run := startPeer(t, url, n)
	m.opened = per()
	debug.FreeOSMemory()
	m.idle, m.heap = per(), float64(heapBytes()-heap)/float64(n)
	run(5)
	m.loaded = per()
	return m
}

func heapBytes() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

func TestSessionsAreSmall(t *testing.T) {
	if n := unsafe.Sizeof(session{}); n > 128 {
		t.Errorf("a session has %d bytes", n)
	}
}

// TestMemoryPerSession holds limits that leave room for what is not measured
// exactly, link and loops included. The garbage collector's own memory is a
// third of the process's here, and much less with more sessions.
func TestMemoryPerSession(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("not a test of memory")
	}
	m := measureMemory(t, 3900)
	t.Logf("bytes per session: %.0f logged in, %.0f idle, %.0f after load, %.0f of heap", m.opened, m.idle, m.loaded, m.heap)
	if m.heap > 420 || m.idle > 1000 {
		t.Error("that is too much")
	}
}

// BenchmarkMemory is TestMemoryPerSession with as many connections as a worker
// has.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		m := measureMemory(b, 17000)
		b.ReportMetric(m.opened, "opened-B/conn")
		b.ReportMetric(m.idle, "idle-B/conn")
		b.ReportMetric(m.loaded, "loaded-B/conn")
		b.ReportMetric(m.heap, "heap-B/conn")
	}
}

// BenchmarkPing answers pings on 3,900 connections, one at a time on each. The
// processor time is the gateway's alone.
func BenchmarkPing(b *testing.B) {
	const n = 3900
	_, url := serve(b)
	run := startPeer(b, url, n)
	each := max(b.N/n, 1)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	run(each)
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/1000/float64(each*n), "cpu-us/ping")
	b.StopTimer()
}

func cpuTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

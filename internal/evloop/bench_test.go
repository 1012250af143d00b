//go:build linux

package evloop

import (
	"context"
	"net"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// echoes answers requests of the peer.
type echoes struct{ closed sync.WaitGroup }

func (h *echoes) Open(c *Conn)        { h.closed.Add(1); c.SetIdle(time.Minute) }
func (h *echoes) Timeout(c *Conn)     { c.Close(nil) }
func (h *echoes) Drained(*Conn)       {}
func (h *echoes) Closed(*Conn, error) { h.closed.Done() }
func (h *echoes) Failed(*Conn, error) {}
func (h *echoes) Data(c *Conn, b []byte) int {
	n := 0
	for ; len(b)-n >= requestSize; n += requestSize {
		if err := c.Write(b[n : n+requestSize]); err != nil {
			c.Close(err)
			break
		}
	}
	return n
}

// serveLoops starts an engine that answers.
func serveLoops(t testing.TB, loops int, opts Options) (*Engine, string) {
	t.Helper()
	e, err := New(Config{Handler: &echoes{}, Loops: loops, HandshakeTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = e.Shutdown(ctx)
	})
	addr, err := e.Listen(t.Context(), "127.0.0.1:0", opts)
	if err != nil {
		t.Fatal(err)
	}
	return e, addr.String()
}

// serveGoroutines does the same with a goroutine per connection, as a measure.
func serveGoroutines(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { echoConn(nc) })
		}
	})
	// The peer goes before, and its connections with it.
	t.Cleanup(func() {
		ln.Close()
		conns.Wait()
	})
	return ln.Addr().String()
}

func echoConn(nc net.Conn) {
	defer nc.Close()
	buf := make([]byte, 512)
	for {
		n, err := nc.Read(buf)
		if err != nil {
			return
		}
		if _, err := nc.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cpuTime is what this process has used.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuPerRequest lets the peer run and returns what it cost this process.
func cpuPerRequest(t testing.TB, run func() peerReport) (us float64, r peerReport) {
	before := cpuTime(t)
	r = run()
	return float64((cpuTime(t) - before).Nanoseconds()) / 1e3 / float64(r.Replies), r
}

// BenchmarkRequests compares the engine with a goroutine per connection: CPU of
// the server per request of 20 bytes over many connections at a fixed rate.
// Both take turns, because the machine is not always equally fast.
func BenchmarkRequests(b *testing.B) {
	for _, rate := range []int{5000, 20000, 40000} {
		b.Run(strconv.Itoa(rate), func(b *testing.B) {
			_, addr := serveLoops(b, 0, Options{})
			spec := peerSpec{Addr: addr, Conns: 6000, Rate: rate, Seconds: 0.5}
			runLoops, stopLoops := startPeer(b, spec)
			defer stopLoops()
			spec.Addr = serveGoroutines(b)
			runGoroutines, stopGoroutines := startPeer(b, spec)
			defer stopGoroutines()
			var loops, goroutines, rounds float64
			for b.Loop() {
				us, r := cpuPerRequest(b, runLoops)
				loops += us
				b.ReportMetric(float64(r.P50.Microseconds()), "loops-p50-us")
				us, r = cpuPerRequest(b, runGoroutines)
				goroutines += us
				b.ReportMetric(float64(r.P50.Microseconds()), "goroutines-p50-us")
				rounds++
			}
			b.ReportMetric(loops/rounds, "loops-cpu-us/req")
			b.ReportMetric(goroutines/rounds, "goroutines-cpu-us/req")
			b.ReportMetric(loops/goroutines, "ratio")
		})
	}
}

// BenchmarkEach pushes to every connection; the time is that of one push.
func BenchmarkEach(b *testing.B) {
	const conns = 5000
	e, addr := serveLoops(b, 0, Options{})
	_, stop := startPeer(b, peerSpec{Addr: addr, Conns: conns, Drain: true})
	defer stop()
	done := make(chan struct{})
	for b.Loop() {
		if err := e.Each(func(c *Conn) { _ = c.Write(request) }, 0, func() { close(done) }); err != nil {
			b.Fatal(err)
		}
		<-done
		done = make(chan struct{})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/conns, "ns/push")
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

// memory is process memory per connection: just opened, after a garbage
// collection, and after a load.
type memory struct{ opened, idle, loaded float64 }

func measureMemory(t testing.TB, opts Options, spec peerSpec) memory {
	t.Helper()
	var addr string
	_, addr = serveLoops(t, 2, opts)
	spec.Addr = addr
	debug.FreeOSMemory()
	before := residentBytes(t)
	per := func() float64 { return float64(residentBytes(t)-before) / float64(spec.Conns) }
	run, stop := startPeer(t, spec)
	defer stop()
	m := memory{opened: per()}
	debug.FreeOSMemory()
	m.idle = per()
	for range 3 {
		if r := run(); r.Replies == 0 {
			t.Fatal("no load")
		}
	}
	m.loaded = per()
	return m
}

func memoryCases(t testing.TB) map[string]func() memory {
	server, _ := testTLS(t)
	return map[string]func() memory{
		"tcp": func() memory {
			return measureMemory(t, Options{}, peerSpec{Conns: 15000, Rate: 20000, Seconds: 1})
		},
		"tls": func() memory {
			return measureMemory(t, Options{TLS: server}, peerSpec{Conns: 3000, TLS: true})
		},
	}
}

func TestConnectionsAreSmall(t *testing.T) {
	if c, e := unsafe.Sizeof(Conn{}), unsafe.Sizeof(entry{}); c > 64 || e > 24 {
		t.Errorf("a Conn has %d bytes, an entry %d", c, e)
	}
}

// TestMemoryPerConnection holds a limit that leaves room for what is not
// measured exactly.
func TestMemoryPerConnection(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("not a test of memory")
	}
	limits := map[string]float64{"tcp": 300, "tls": 16 << 10}
	for kind, measure := range memoryCases(t) {
		t.Run(kind, func(t *testing.T) {
			m := measure()
			t.Logf("process bytes per connection: %.0f opened, %.0f idle, %.0f after load", m.opened, m.idle, m.loaded)
			if m.idle > limits[kind] {
				t.Errorf("over %.0f", limits[kind])
			}
		})
	}
}

// TestMemoryAfterALoginStorm: it does not stay at its peak.
func TestMemoryAfterALoginStorm(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("not a test of memory")
	}
	server, _ := testTLS(t)
	const conns, most = 2000, 12 << 10
	e, addr := serveLoops(t, 2, Options{TLS: server})
	debug.FreeOSMemory()
	before := residentBytes(t)
	per := func() int { return (residentBytes(t) - before) / conns }
	_, stop := startPeer(t, peerSpec{Addr: addr, Conns: conns, TLS: true})
	defer stop()
	peak := per()
	for end := time.Now().Add(testTimeout); e.trimmer.trims.Load() == 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("no memory was given back")
		}
	}
	if n := per(); n > most {
		t.Errorf("%d bytes a connection, after a peak of %d", n, peak)
	} else {
		t.Logf("%d bytes a connection, after a peak of %d", n, peak)
	}
}

func BenchmarkMemory(b *testing.B) {
	for kind, measure := range memoryCases(b) {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				m := measure()
				b.ReportMetric(m.idle, "idle-B/conn")
				b.ReportMetric(m.loaded, "loaded-B/conn")
			}
		})
	}
}

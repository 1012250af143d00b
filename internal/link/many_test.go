//go:build linux

package link

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newQuietRig is a rig with a bouncer, which remembers nothing.
func newQuietRig(b *testing.B, kind string, maxConns int) *rig {
	r := newRig(b, kind, Config{MaxConns: maxConns, Idle: time.Hour}, nil)
	r.srv.cfg.Handler = bouncer{peerFrame()}
	return r
}

// BenchmarkIdle is what the server's process holds for each of 10,000
// connections that have exchanged a frame: heap and stacks, without what the
// system has. With -benchtime=1x, each measurement is made once.
func BenchmarkIdle(b *testing.B) {
	const n = 10000
	for _, kind := range []string{"tcp", "tcp-epoll", "ws", "ws-epoll", "http-epoll"} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				r := newQuietRig(b, kind, 2*n)
				// The first connections pay for what all share.
				startPeer(b, r.url, 10)
				bytes, goroutines := held(), runtime.NumGoroutine()
				startPeer(b, r.url, n)
				b.ReportMetric(float64(held()-bytes)/n, "B/conn")
				b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/n, "goroutines/conn")
			}
		})
	}
}

// held is the memory in use after collecting garbage. Pools give up what they
// have in two steps.
func held() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkManyEcho echoes frames of 256 bytes on 1,000 connections, each of
// which waits for one before it sends the next. The processor time is the
// server's alone.
func BenchmarkManyEcho(b *testing.B) {
	const n = 1000
	for _, kind := range []string{"tcp", "tcp-epoll", "ws", "ws-epoll"} {
		b.Run(kind, func(b *testing.B) {
			r := newQuietRig(b, kind, 2*n)
			run := startPeer(b, r.url, n)
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime()
			run(max(b.N/n, 1))
			frames := float64(max(b.N/n, 1) * n)
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/frames, "cpu-us/frame")
			b.StopTimer()
		})
	}
}

// BenchmarkBroadcast pushes 100 bytes to each of 4,000 connections, whose other
// ends are in another process; the processor time is the server's alone.
func BenchmarkBroadcast(b *testing.B) {
	const n = 4000
	frames := deliver(string(make([]byte, 100)))
	for _, kind := range []string{"tcp", "tcp-epoll", "ws-epoll"} {
		b.Run(kind, func(b *testing.B) {
			r := newQuietRig(b, kind, 2*n)
			startPeer(b, r.url, n)(0)
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime()
			for b.Loop() {
				if reached, err := r.srv.Broadcast(b.Context(), frames, nil); reached != n || err != nil {
					b.Fatal(reached, err)
				}
			}
			pushes := float64(b.N * n)
			b.ReportMetric(pushes/b.Elapsed().Seconds(), "pushes/s")
			b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/1e3/pushes, "cpu-us/push")
		})
	}
}

func cpuTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

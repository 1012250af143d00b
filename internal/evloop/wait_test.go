//go:build linux

package evloop

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bare is an epoll that echoes, and nothing else, to compare ways of waiting
// for one. They are why poller is as it is.
type bare struct {
	p    *poller
	bell int
	buf  []byte
	stop atomic.Bool
	// asked is set before the bell is rung; answer answers it.
	asked  atomic.Bool
	answer chan struct{}
}

func newBare(b *testing.B) *bare {
	b.Helper()
	p, err := newPoller()
	if err != nil {
		b.Fatal(err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err == nil {
		err = p.add(bell, unix.EPOLLIN|unix.EPOLLET, -1, 0)
	}
	if err != nil {
		b.Fatal(err)
	}
	return &bare{p: p, bell: bell, buf: make([]byte, 4096), answer: make(chan struct{})}
}

// turn takes what there is; timeout is that of epoll_wait.
func (l *bare) turn(timeout int) int {
	n, _ := unix.EpollWait(l.p.fd, l.p.events, timeout)
	for i := range max(n, 0) {
		fd := int(l.p.events[i].Fd)
		if fd < 0 {
			continue
		}
		if n, _ := unix.Read(fd, l.buf); n > 0 {
			_, _ = unix.Write(fd, l.buf[:n])
		} else {
			unix.Close(fd)
		}
	}
	if l.asked.CompareAndSwap(true, false) {
		l.answer <- struct{}{}
	}
	return n
}

func (l *bare) ring() { _, _ = unix.Write(l.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// way is a way of waiting, and of being woken.
type way struct {
	name string
	run  func(l *bare)
	wake func(l *bare)
}

var ways = []way{
	{"blocking", func(l *bare) {
		for !l.stop.Load() {
			l.turn(-1)
		}
	}, (*bare).ring},
	{"nested", func(l *bare) {
		for !l.stop.Load() {
			_ = l.p.raw.Read(func(uintptr) bool { return l.turn(0) > 0 || l.stop.Load() })
		}
	}, (*bare).ring},
	// Turns are taken within Read, so that each wait needs no second look.
	{"inside", func(l *bare) {
		for !l.stop.Load() {
			_ = l.p.raw.Read(func(uintptr) bool {
				for l.turn(0) == maxEvents {
				}
				return l.stop.Load()
			})
			l.p.wakeAt(time.Time{})
		}
	}, (*bare).ring},
	{"inside, woken by deadline", func(l *bare) {
		for !l.stop.Load() {
			l.p.wakeAt(time.Time{})
			_ = l.p.raw.Read(func(uintptr) bool {
				for l.turn(0) == maxEvents {
				}
				return l.stop.Load()
			})
		}
	}, func(l *bare) { l.p.wake() }},
}

// start runs the loop until the benchmark is over.
func (w way) start(b *testing.B) *bare {
	l := newBare(b)
	var running sync.WaitGroup
	running.Go(func() { w.run(l) })
	b.Cleanup(func() {
		l.stop.Store(true)
		l.ring()
		running.Wait()
		unix.Close(l.bell)
		l.p.close()
	})
	return l
}

// BenchmarkWait has requests come from the network, to a process that does
// nothing else.
func BenchmarkWait(b *testing.B) {
	for _, w := range ways[:3] {
		b.Run(w.name, func(b *testing.B) {
			l := w.start(b)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			const conns = 500
			accepted := make(chan error, 1)
			go func() { accepted <- l.accept(ln, conns) }()
			run, stop := startPeer(b, peerSpec{Addr: ln.Addr().String(), Conns: conns, Rate: 5000, Seconds: 0.5})
			defer stop()
			if err := <-accepted; err != nil {
				b.Fatal(err)
			}
			total, rounds := 0.0, 0.0
			for b.Loop() {
				us, _ := cpuPerRequest(b, run)
				total += us
				rounds++
			}
			b.ReportMetric(total/rounds, "cpu-us/req")
		})
	}
}

func (l *bare) accept(ln net.Listener, n int) error {
	defer ln.Close()
	for range n {
		nc, err := ln.Accept()
		if err != nil {
			return err
		}
		fd, err := duplicate(nc.(*net.TCPConn))
		nc.Close()
		if err == nil {
			err = l.p.add(fd, unix.EPOLLIN|unix.EPOLLET, int32(fd), 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkWake has another goroutine wake the loop and wait for its answer.
func BenchmarkWake(b *testing.B) {
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			l := w.start(b)
			before := cpuTime(b)
			for b.Loop() {
				l.asked.Store(true)
				w.wake(l)
				<-l.answer
			}
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N)/1e3, "cpu-us/op")
		})
	}
}

// BenchmarkPost is a function run on a loop that sleeps, and waited for.
func BenchmarkPost(b *testing.B) {
	e, err := New(Config{Handler: &echoes{}, Loops: 1})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	before := cpuTime(b)
	for b.Loop() {
		if err := e.Loops()[0].Post(func() { done <- struct{}{} }); err != nil {
			b.Fatal(err)
		}
		<-done
	}
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N)/1e3, "cpu-us/op")
	if err := e.Shutdown(context.Background()); err != nil {
		b.Fatal(err)
	}
}

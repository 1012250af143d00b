//go:build linux

package evloop

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// peerSpec tells a second process, the peer, what to do to a server. It is
// written without the engine, so that it can judge it, and its CPU time and
// its open files are its own.
type peerSpec struct {
	Addr string
	// Conns are opened, a line is printed, and then Rate requests of 20
	// bytes per second are sent for Seconds, dealt out evenly. A reply is
	// as long as its request.
	Conns, Rate int
	Seconds     float64
	// TLS is spoken by an engine; each connection sends one request then.
	TLS bool
	// Drain reads whatever comes instead of sending.
	Drain bool
}

// peerReport is what the peer prints in the end.
type peerReport struct {
	Replies  int
	P50, P99 time.Duration
}

// peerEnv makes the test binary the peer instead of a test run.
const peerEnv = "EVLOOP_PEER"

const requestSize = 20

// startPeer starts the peer and waits until its connections are open. run makes
// it send and returns its report, stop makes it reset everything and go.
func startPeer(t testing.TB, spec peerSpec) (run func() peerReport, stop func()) {
	t.Helper()
	arg, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), peerEnv+"="+string(arg), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		in.Close()
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "open\n" {
		t.Fatalf("the peer said %q: %v", line, err)
	}
	run = func() peerReport {
		if _, err := io.WriteString(in, "go\n"); err != nil {
			t.Fatal(err)
		}
		line, err := lines.ReadBytes('\n')
		var r peerReport
		if err == nil {
			err = json.Unmarshal(line, &r)
		}
		if err != nil {
			t.Fatalf("the peer said %q: %v", line, err)
		}
		return r
	}
	return run, stop
}

func runPeer(arg string) {
	var spec peerSpec
	err := json.Unmarshal([]byte(arg), &spec)
	load := func() peerReport { return peerReport{} }
	switch {
	case err != nil:
	case spec.TLS:
		load, err = openTLSPeer(spec)
	default:
		var p *peer
		if p, err = openPeer(spec); err == nil {
			load = p.load
		}
		if err == nil && spec.Drain {
			go p.drain()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
	fmt.Println("open")
	stdin := bufio.NewReader(os.Stdin)
	for {
		if line, _ := stdin.ReadString('\n'); line != "go\n" {
			return
		}
		report, err := json.Marshal(load())
		if err != nil {
			panic(err)
		}
		fmt.Println(string(report))
	}
}

// peer is one thread and one epoll.
type peer struct {
	spec   peerSpec
	epfd   int
	fds    []int
	events []unix.EpollEvent
	// sent has the moment of the request under way, by connection.
	sent    []time.Time
	latency []time.Duration
	replies int
	buf     []byte
}

func openPeer(spec peerSpec) (*peer, error) {
	addr, err := netip.ParseAddrPort(spec.Addr)
	if err != nil {
		return nil, err
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	p := &peer{
		spec: spec, epfd: epfd,
		events: make([]unix.EpollEvent, 256),
		sent:   make([]time.Time, spec.Conns),
		buf:    make([]byte, 4096),
	}
	for i := range spec.Conns {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		// 127.0.0.x: a source address has too few ports for everything.
		local := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + i/10000)}}
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		// Closing with a reset leaves no ports waiting behind.
		if err == nil {
			err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		if err == nil {
			err = unix.Bind(fd, local)
		}
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
		}
		if err == nil {
			ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
			err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &ev)
		}
		if err != nil {
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		p.fds = append(p.fds, fd)
	}
	return p, nil
}

// load sends requests when they are due and collects the replies.
func (p *peer) load() peerReport {
	p.latency, p.replies = p.latency[:0], 0
	total := int(float64(p.spec.Rate) * p.spec.Seconds)
	start := time.Now()
	for sent := 0; p.replies < total && time.Since(start) < time.Minute; {
		due := min(total, 1+int(time.Since(start).Seconds()*float64(p.spec.Rate)))
		for ; sent < due; sent++ {
			p.send(sent % len(p.fds))
		}
		n, err := unix.EpollWait(p.epfd, p.events, 1)
		if err != nil && err != unix.EINTR {
			panic(err)
		}
		for _, ev := range p.events[:max(n, 0)] {
			p.receive(int(ev.Fd))
		}
	}
	slices.Sort(p.latency)
	n := len(p.latency)
	return peerReport{Replies: p.replies, P50: p.latency[n/2], P99: p.latency[n*99/100]}
}

// drain reads until the process ends.
func (p *peer) drain() {
	for {
		n, _ := unix.EpollWait(p.epfd, p.events, -1)
		for _, ev := range p.events[:max(n, 0)] {
			_, _ = unix.Read(p.fds[ev.Fd], p.buf)
		}
	}
}

var request = bytes.Repeat([]byte("r"), requestSize)

func (p *peer) send(i int) {
	if _, err := unix.Write(p.fds[i], request); err != nil {
		panic(err)
	}
	p.sent[i] = time.Now()
}

func (p *peer) receive(i int) {
	n, err := unix.Read(p.fds[i], p.buf)
	if err != nil || n == 0 || n%requestSize != 0 {
		panic(fmt.Sprintf("a reply of %d bytes: %v", n, err))
	}
	p.latency = append(p.latency, time.Since(p.sent[i]))
	p.replies += n / requestSize
}

// tlsPeer counts on behalf of the peer that speaks TLS.
type tlsPeer struct {
	hooks
	received atomic.Int64
	replied  chan struct{}
}

func openTLSPeer(spec peerSpec) (load func() peerReport, err error) {
	addr, err := netip.ParseAddrPort(spec.Addr)
	if err != nil {
		return nil, err
	}
	p := &tlsPeer{hooks: *newHooks(nil), replied: make(chan struct{}, 1)}
	p.data = func(_ *Conn, b []byte) int {
		if p.received.Add(int64(len(b)))%int64(spec.Conns*requestSize) == 0 {
			p.replied <- struct{}{}
		}
		return len(b)
	}
	e, err := New(Config{Handler: p, Loops: 1})
	if err != nil {
		return nil, err
	}
	opts := DialOptions{Options: Options{TLS: &tls.Config{InsecureSkipVerify: true}}, Timeout: time.Minute}
	for range spec.Conns {
		if err := e.Loops()[0].Dial(addr, opts); err != nil {
			return nil, err
		}
	}
	for range spec.Conns {
		select {
		case <-p.opened:
		case err := <-p.failed:
			return nil, err
		}
	}
	return func() peerReport {
		if err := e.Each(func(c *Conn) { _ = c.Write(request) }, 0, nil); err != nil {
			panic(err)
		}
		<-p.replied
		return peerReport{Replies: spec.Conns}
	}, nil
}

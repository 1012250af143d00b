//go:build linux

package evloop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
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
}

// peerReport is what the peer prints in the end.
type peerReport struct {
	Replies  int
	P50, P99 time.Duration
}

// peerEnv makes the test binary the peer instead of a test run.
const peerEnv = "EVLOOP_PEER"

const requestSize = 20

// startPeer starts the peer and waits until its connections are open. go tells
// it to send and returns its report; the peer closes everything when the test
// is over.
func startPeer(t testing.TB, spec peerSpec) (run func() (peerReport, func())) {
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
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "open\n" {
		t.Fatalf("the peer said %q: %v", line, err)
	}
	return func() (peerReport, func()) {
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
		return r, func() { in.Close(); cmd.Wait() }
	}
}

func runPeer(arg string) {
	var spec peerSpec
	err := json.Unmarshal([]byte(arg), &spec)
	var p *peer
	if err == nil {
		p, err = openPeer(spec)
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
		report, err := json.Marshal(p.load())
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
	p.latency = p.latency[:0]
	total := int(float64(p.spec.Rate) * p.spec.Seconds)
	start := time.Now()
	for sent, got := 0, 0; got < total; {
		due := min(total, 1+int(time.Since(start).Seconds()*float64(p.spec.Rate)))
		for ; sent < due; sent++ {
			p.send(sent % len(p.fds))
		}
		n, err := unix.EpollWait(p.epfd, p.events, 1)
		if err != nil && err != unix.EINTR {
			panic(err)
		}
		for _, ev := range p.events[:max(n, 0)] {
			got += p.receive(int(ev.Fd))
		}
		if time.Since(start) > time.Minute {
			break
		}
	}
	slices.Sort(p.latency)
	n := len(p.latency)
	return peerReport{Replies: n, P50: p.latency[n/2], P99: p.latency[n*99/100]}
}

var request = bytes.Repeat([]byte("r"), requestSize)

func (p *peer) send(i int) {
	if _, err := unix.Write(p.fds[i], request); err != nil {
		panic(err)
	}
	p.sent[i] = time.Now()
}

func (p *peer) receive(i int) int {
	n, err := unix.Read(p.fds[i], p.buf)
	if err != nil || n == 0 || n%requestSize != 0 {
		panic(fmt.Sprintf("a reply of %d bytes: %v", n, err))
	}
	p.latency = append(p.latency, time.Since(p.sent[i]))
	return n / requestSize
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

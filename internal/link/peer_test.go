package link

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// peerEnv makes the test binary the clients of a benchmark instead of a test
// run: so their memory and processor time are not the server's.
const (
	peerEnv      = "LINK_PEER"
	peerConnsEnv = "LINK_PEER_CONNS"
)

// peerFrame is what the clients send.
func peerFrame() []byte { return wire.AppendFrame(nil, wire.TypeSend, make([]byte, 256)) }

// startPeer opens n connections from another process, each of which has had
// one frame back. run makes each echo a number of frames, one at a time; with 0
// they only read from then on.
func startPeer(b *testing.B, url string, n int) (run func(each int)) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), peerEnv+"="+url, peerConnsEnv+"="+strconv.Itoa(n), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	lines := bufio.NewReader(out)
	run = func(each int) {
		fmt.Fprintln(in, each)
		if line, err := lines.ReadString('\n'); line != "done\n" {
			b.Fatalf("the peer said %q: %v", line, err)
		}
	}
	run(1)
	return run
}

func runPeer(url string) {
	if err := peerLoop(url); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

// peerLoop takes numbers of frames from standard input until it ends.
func peerLoop(url string) error {
	n, err := strconv.Atoi(os.Getenv(peerConnsEnv))
	if err != nil {
		return err
	}
	conns := make([]*ClientConn, n)
	for i := range conns {
		if conns[i], err = Dial(context.Background(), url, DialOptions{MaxFrame: im.MaxClientFrame}); err != nil {
			return err
		}
	}
	in := bufio.NewReader(os.Stdin)
	for {
		var each int
		if _, err := fmt.Fscanln(in, &each); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if each == 0 {
			drainAll(conns)
		} else if err := echoAll(conns, each); err != nil {
			return err
		}
		fmt.Println("done")
	}
}

// drainAll makes the connections read whatever comes from now on.
func drainAll(conns []*ClientConn) {
	for _, c := range conns {
		go func() { _, _ = io.Copy(io.Discard, c.nc) }()
	}
}

func echoAll(conns []*ClientConn, each int) error {
	frame := peerFrame()
	errs := make(chan error, len(conns))
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			for range each {
				err := c.Write(frame)
				if err == nil {
					_, _, err = c.ReadFrame()
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

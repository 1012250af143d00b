package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// peerEnv makes the test binary the clients of a measurement instead of a test
// run: so their memory and processor time are not the gateway's.
const (
	peerEnv      = "GATEWAY_PEER"
	peerConnsEnv = "GATEWAY_PEER_CONNS"
)

// startPeer logs n clients in from another process. run makes each send so many
// pings, one at a time.
func startPeer(t testing.TB, url string, n int) (run func(each int)) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), peerEnv+"="+url, peerConnsEnv+"="+strconv.Itoa(n), "GOMAXPROCS=1")
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
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewReader(out)
	run = func(each int) {
		fmt.Fprintln(in, each)
		if line, err := lines.ReadString('\n'); line != "done\n" {
			t.Fatalf("the peer said %q: %v", line, err)
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

// peerLoop takes numbers of pings from standard input until it ends.
func peerLoop(url string) error {
	n, err := strconv.Atoi(os.Getenv(peerConnsEnv))
	if err != nil {
		return err
	}
	conns := make([]*link.ClientConn, n)
	for i := range conns {
		if conns[i], err = peerLogin(url, secret); err != nil {
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
		for range each {
			if err := pingAll(conns); err != nil {
				return err
			}
		}
		fmt.Println("done")
	}
}

func peerLogin(url, token string) (*link.ClientConn, error) {
	c, err := link.Dial(context.Background(), url, link.DialOptions{MaxFrame: im.MaxServerFrame})
	if err != nil {
		return nil, err
	}
	hello, err := wire.AppendMessage(nil, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: token, Cursor: proto.Uint64(41)})
	if err != nil {
		return nil, err
	}
	if err := c.Write(hello); err != nil {
		return nil, err
	}
	if typ, _, err := c.ReadFrame(); err != nil || typ != wire.TypeWelcome {
		return nil, fmt.Errorf("a login is answered with %v, %w", typ, err)
	}
	return c, nil
}

// pingAll sends a ping on every connection, then reads every pong.
func pingAll(conns []*link.ClientConn) error {
	ping := wire.AppendPing(nil)
	for _, c := range conns {
		if err := c.Write(ping); err != nil {
			return err
		}
	}
	for _, c := range conns {
		if typ, _, err := c.ReadFrame(); err != nil || typ != wire.TypePong {
			return fmt.Errorf("a ping is answered with %v, %w", typ, err)
		}
	}
	return nil
}

package e2e

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// benchResult is the part of bench chat's JSON that tests look at.
type benchResult struct {
	Sent, Acked, Delivered, Lost, Duplicated, Reordered, Reconnects int

	AckMS     struct{ Max float64 } `json:"ack_ms"`
	DeliverMS struct{ Max float64 } `json:"deliver_ms"`
}

// benchChat starts bench chat against a server; the returned function waits
// for its verdict.
func benchChat(t *testing.T, s *server, more ...string) (finished <-chan struct{}, verdict func() benchResult) {
	t.Helper()
	c := startChat(t, s, more...)
	return c.done, func() benchResult { return c.verdict(t) }
}

// longChat is benchChat that goes on until it is asked for its verdict. Its
// clients are connected, and it has begun, when it returns.
func longChat(t *testing.T, s *server, users int, more ...string) (finished <-chan struct{}, verdict func() benchResult) {
	t.Helper()
	c := startChat(t, s, append([]string{"--duration", "1h", "--stall", "3m", "--users", strconv.Itoa(users)}, more...)...)
	for metric(t, s, "skein_gateway_sessions") < float64(users) {
		between(t, c.done, func() benchResult { return c.verdict(t) })
	}
	return c.done, func() benchResult {
		t.Helper()
		_ = c.cmd.Process.Signal(os.Interrupt)
		return c.verdict(t)
	}
}

// chat is a bench chat that runs.
type chat struct {
	cmd  *exec.Cmd
	logs *logBuffer
	// out is the file that its result goes to.
	out  string
	done chan struct{}
	err  error
}

func startChat(t *testing.T, s *server, more ...string) *chat {
	t.Helper()
	c := &chat{logs: &logBuffer{}, out: filepath.Join(t.TempDir(), "result.json"), done: make(chan struct{})}
	args := append([]string{"bench", "chat", "--addr", "tcp://" + s.Link, "--http", "http://" + s.HTTP,
		"--operator-token-file", filepath.Join(s.Data, "operator.token"), "--json", c.out}, more...)
	c.cmd = exec.CommandContext(t.Context(), binary, args...)
	c.cmd.Stdout, c.cmd.Stderr = c.logs, c.logs
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := time.AfterFunc(lifetime(t), func() { _ = c.cmd.Process.Signal(syscall.SIGABRT) })
	go func() {
		c.err = c.cmd.Wait()
		over.Stop()
		close(c.done)
	}()
	return c
}

// verdict waits for the end.
func (c *chat) verdict(t *testing.T) (r benchResult) {
	t.Helper()
	<-c.done
	if c.err != nil {
		t.Fatalf("bench chat: %v\n%s", c.err, c.logs)
	}
	b, err := os.ReadFile(c.out)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r benchResult) check(t *testing.T) {
	t.Helper()
	if r.Lost+r.Duplicated+r.Reordered > 0 || r.Sent == 0 || r.Acked != r.Sent || r.Delivered < r.Sent {
		t.Fatalf("the verdict is %+v", r)
	}
}

// crashes is how many times something is killed.
func crashes() int {
	if n, err := strconv.Atoi(os.Getenv("TEST_CRASHES")); err == nil {
		return n
	}
	return 10
}

// TestCrash kills at random moments while people chat, and starts again what it
// has killed: the one process, or one of several, or all of them. Nothing may be
// lost, repeated or reordered.
func TestCrash(t *testing.T) { inBothShapes(t, setup{}, crash) }

func crash(t *testing.T, p *product) {
	want := crashes()
	// The clients send what is due when they are served again.
	finished, verdict := longChat(t, p.server, 100, "--friends", "10", "--rate", "200")
	for killed := range want {
		select {
		case <-finished:
			t.Fatalf("the chat ended after %d crashes: %+v", killed, verdict())
		case <-time.After(time.Duration(rand.Int64N(int64(1200 * time.Millisecond)))):
		}
		if i := rand.IntN(len(p.parts) + 1); i < len(p.parts) {
			p.parts[i].kill()
			p.again(p.parts[i])
			continue
		}
		p.kill()
		p.restart()
	}
	r := verdict()
	r.check(t)
	t.Logf("%d messages, %d crashes: all arrived once and in order", r.Sent, want)
	p.stop(t)
}

// TestRestart stops and starts everything properly, again and again, while
// people chat.
func TestRestart(t *testing.T) { inBothShapes(t, setup{}, restart) }

func restart(t *testing.T, p *product) {
	finished, verdict := longChat(t, p.server, 50, "--friends", "10", "--rate", "200", "--transport", "ws", "--addr", "ws://"+p.Link+"/link")
	for range 3 {
		between(t, finished, verdict)
		p.stop(t)
		p.restart()
	}
	verdict().check(t)
}

package e2e

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	out := filepath.Join(t.TempDir(), "result.json")
	args := append([]string{"bench", "chat", "--addr", "tcp://" + s.Link, "--http", "http://" + s.HTTP,
		"--operator-token-file", filepath.Join(s.Data, "operator.token"), "--json", out}, more...)
	cmd := exec.CommandContext(t.Context(), binary, args...)
	logs := &logBuffer{}
	cmd.Stdout, cmd.Stderr = logs, logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var runErr error
	go func() {
		runErr = cmd.Wait()
		close(done)
	}()
	return done, func() (r benchResult) {
		t.Helper()
		<-done
		if runErr != nil {
			t.Fatalf("bench chat: %v\n%s", runErr, logs)
		}
		b, err := os.ReadFile(out)
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
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
	// At this rate the run outlasts the crashes; the clients send what is
	// due when they are served again.
	finished, verdict := benchChat(t, p.server, "--users", "100", "--friends", "10", "--rate", "500",
		"--duration", strconv.Itoa(2+want)+"s", "--stall", "3m")
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
	finished, verdict := benchChat(t, p.server, "--users", "50", "--friends", "10", "--rate", "300", "--duration", "8s", "--transport", "ws", "--addr", "ws://"+p.Link+"/link")
	for range 3 {
		select {
		case <-finished:
		case <-time.After(time.Second):
		}
		p.stop(t)
		p.restart()
	}
	verdict().check(t)
}

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

// crashes is how many times the server is killed.
func crashes() int {
	if n, err := strconv.Atoi(os.Getenv("TEST_CRASHES")); err == nil {
		return n
	}
	return 20
}

// TestCrash kills the server at random moments while people chat, and starts
// it again on the same directory. Nothing may be lost, repeated or reordered.
func TestCrash(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	fixed := s.fixed()
	want := crashes()
	// At this rate the run outlasts the crashes; the clients send what is
	// due when the server is back.
	seconds := 2 + want
	finished, verdict := benchChat(t, s, "--users", "100", "--friends", "10", "--rate", "1000",
		"--duration", strconv.Itoa(seconds)+"s", "--stall", "3m")
	killed := 0
	for killed < want {
		select {
		case <-finished:
			t.Fatalf("the chat ended after %d crashes: %+v", killed, verdict())
		case <-time.After(time.Duration(rand.Int64N(int64(1200 * time.Millisecond)))):
		}
		s.kill()
		killed++
		s = start(t, data, fixed...)
	}
	r := verdict()
	r.check(t)
	t.Logf("%d messages, %d crashes: all arrived once and in order", r.Sent, killed)
	s.stop(t)
}

// TestRestart stops and starts the server properly, again and again, while
// people chat.
func TestRestart(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	fixed := s.fixed()
	finished, verdict := benchChat(t, s, "--users", "50", "--friends", "10", "--rate", "300", "--duration", "8s", "--transport", "ws", "--addr", "ws://"+s.Link+"/link")
	for range 3 {
		select {
		case <-finished:
		case <-time.After(time.Second):
		}
		s.stop(t)
		s = start(t, data, fixed...)
	}
	verdict().check(t)
}

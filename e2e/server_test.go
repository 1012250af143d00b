package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/freeport"
	"github.com/skein-im/skein/internal/patience"
)

// binary is the program, built once for all tests.
var binary string

// atOnce is how many tests run side by side unless -parallel says otherwise: more
// than there are processors, because most of them wait most of the time.
const atOnce = 4

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "skein-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "skein")
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "../cmd/skein")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build the program: %v\n%s", err, out)
		return 1
	}
	defer stopRedis()
	defer stopPostgres()
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(strconv.Itoa(atOnce))
	}
	return m.Run()
}

// begun is when the tests began.
var begun = time.Now()

// lifetime is how long a process may run for a test: half the time that all tests have
// (-timeout), and not to its very end. Then it says what all its goroutines are at,
// and the test, whatever it is that it waits for, goes on without it and fails.
func lifetime(t *testing.T) time.Duration {
	deadline, ok := t.Deadline()
	if !ok {
		return 24 * time.Hour
	}
	return min(deadline.Sub(begun)/2, time.Until(deadline)-30*time.Second)
}

func testContext(t *testing.T) context.Context { return patience.Context(t) }

// web asks servers over HTTP.
var web = &http.Client{Timeout: patience.Limit}

// freeAddr is an address that a server can have, and have again.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

type addresses struct{ HTTP, Link, Ops, Article, Roles, Relay, Standby, Router, Data string }

// server is a running node: every role, or one of them.
type server struct {
	addresses
	cmd  *exec.Cmd
	logs *logBuffer
	done chan struct{}
	err  error
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serveArgs are the arguments for a server on free ports.
func serveArgs(t *testing.T, data string, more ...string) []string {
	args := []string{"serve", "--json", "--data", data, "--http", freeAddr(t), "--link", freeAddr(t), "--ops", freeAddr(t)}
	return append(args, more...)
}

// start starts a server and waits until it says where it listens. Later flags
// win, so more can set fixed ports.
func start(t *testing.T, data string, more ...string) *server {
	t.Helper()
	return startNode(t, serveArgs(t, data, more...)...)
}

// startNode starts any node; args begin with its command.
func startNode(t *testing.T, args ...string) *server {
	t.Helper()
	return startProgram(t, binary, args...)
}

// startProgram is startNode with a program that may be of another version.
func startProgram(t *testing.T, program string, args ...string) *server {
	t.Helper()
	var s *server
	var err error
	patience.Until(t, "the store answers", func() (bool, any) {
		s, err = launchProgram(program, args...)
		return !storeIsSlow(err), err
	})
	if err != nil {
		t.Fatal(err)
	}
	over := time.AfterFunc(lifetime(t), s.abort)
	t.Cleanup(func() {
		if !over.Stop() {
			t.Errorf("the test takes too long")
		}
		s.kill()
		if t.Failed() {
			t.Logf("log of %v:\n%s", args, s.logs)
		}
	})
	return s
}

// storeIsSlow: a shared store, which is there, did not answer as soon as it must,
// because the machine has too much to do. Whoever gets this asks again.
func storeIsSlow(err error) bool {
	return err != nil && strings.Contains(err.Error(), "open the store at ") &&
		(strings.Contains(err.Error(), "deadline exceeded") || strings.Contains(err.Error(), "canceling statement"))
}

func tryStart(t *testing.T, data string, more ...string) (*server, error) {
	return launch(serveArgs(t, data, more...)...)
}

func launch(args ...string) (*server, error) { return launchProgram(binary, args...) }

func launchProgram(program string, args ...string) (*server, error) {
	s := &server{logs: &logBuffer{}, done: make(chan struct{})}
	s.cmd = exec.Command(program, args...)
	s.cmd.Stderr = s.logs
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	late := time.AfterFunc(patience.Limit, s.abort)
	line, readErr := bufio.NewReader(out).ReadString('\n')
	late.Stop()
	go func() {
		_, _ = io.Copy(io.Discard, out)
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	if readErr == nil {
		readErr = json.Unmarshal([]byte(line), &s.addresses)
	}
	if readErr != nil {
		s.kill()
		return nil, fmt.Errorf("the server did not start: %v\n%s", readErr, s.logs)
	}
	return s, nil
}

// abort ends the server, paused or not, with what all goroutines are at in its log.
func (s *server) abort() {
	_ = s.cmd.Process.Signal(syscall.SIGABRT)
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
}

// kill ends the server as a power cut would end it.
func (s *server) kill() {
	_ = s.cmd.Process.Signal(syscall.SIGKILL)
	<-s.done
}

// await waits until the server has ended by itself.
func (s *server) await(t *testing.T) {
	t.Helper()
	select {
	case <-s.done:
	case <-testContext(t).Done():
		s.abort()
		<-s.done
		t.Fatal("the server does not stop")
	}
}

func (s *server) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// stop ends the server as an operator would.
func (s *server) stop(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	s.await(t)
	if s.err != nil {
		t.Fatalf("the server stopped with %v\n%s", s.err, s.logs)
	}
}

// fixed are flags that make a restarted server listen where this one did.
func (s *server) fixed() []string {
	args := []string{"--http", s.HTTP, "--link", s.Link, "--ops", s.Ops}
	if s.Article != "" {
		args = append(args, "--article-api", s.Article)
	}
	return args
}

// run runs the program to its end.
func run(t *testing.T, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	return runProgram(t, binary, stdin, args...)
}

// runProgram is run with a program that may be of another version.
func runProgram(t *testing.T, program, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	cmd := exec.CommandContext(testContext(t), program, args...)
	// One that takes too long says what it is at.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGABRT) }
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("skein %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// get is one HTTP GET; the status is -1 when the server was not reached.
func get(client *http.Client, url string) (status int, body string) {
	resp, err := client.Get(url)
	if err != nil {
		return -1, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return -1, err.Error()
	}
	return resp.StatusCode, string(b)
}

package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/child"
)

// server is a server process that this one has started.
type server struct {
	cmd  *exec.Cmd
	out  sync.WaitGroup
	log  tail
	temp string
	// What it said of itself.
	HTTP  string `json:"http"`
	Link  string `json:"link"`
	Ops   string `json:"ops"`
	Roles string `json:"roles"`
	Data  string `json:"data"`
}

// How long a server may take to start and to stop.
const (
	startTimeout = time.Minute
	stopTimeout  = 2 * time.Minute
)

// startServer runs "<program> serve" on free ports. data is its directory;
// empty: a temporary one, which is removed when it stops.
func startServer(ctx context.Context, program, data string, args []string) (*server, error) {
	return startRole(ctx, program, "serve", data, append([]string{"--http", "127.0.0.1:0", "--link", "127.0.0.1:0"}, args...))
}

// startRole is startServer for any role.
func startRole(ctx context.Context, program, role, data string, args []string) (_ *server, err error) {
	s := &server{}
	if data == "" {
		if s.temp, err = os.MkdirTemp("", "skein-bench-"); err != nil {
			return nil, err
		}
		data = s.temp
	}
	args = append([]string{role, "--json", "--data", data, "--log-level", "warn", "--ops", "127.0.0.1:0"}, args...)
	s.cmd = exec.Command(program, args...)
	s.cmd.SysProcAttr = child.Attributes(nil)
	s.cmd.Stderr = &s.log
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		os.RemoveAll(s.temp)
		return nil, fmt.Errorf("cannot start a %s: %w", role, err)
	}
	first := make(chan []byte, 1)
	s.out.Go(func() { readLines(bufio.NewReader(out), first) })
	if err := s.introduced(ctx, first); err != nil {
		return nil, errors.Join(fmt.Errorf("the %s did not start: %w%s", role, err, s.log.quote()), s.stop())
	}
	return s, nil
}

// readLines passes the first line on and swallows the rest.
func readLines(out *bufio.Reader, first chan<- []byte) {
	line, _ := out.ReadBytes('\n')
	first <- line
	_, _ = out.WriteTo(discard{})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// introduced waits for the line in which the server says where it listens.
func (s *server) introduced(ctx context.Context, first <-chan []byte) error {
	t := time.NewTimer(startTimeout)
	defer t.Stop()
	select {
	case line := <-first:
		if err := json.Unmarshal(line, s); err != nil || (s.HTTP == "" || s.Link == "") && s.Roles == "" || s.Data == "" {
			return fmt.Errorf("it said %q", bytes.TrimSpace(line))
		}
		return nil
	case <-t.C:
		return fmt.Errorf("it said nothing within %v", startTimeout)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stop ends the server in order, or by force when it takes too long.
func (s *server) stop() error {
	defer os.RemoveAll(s.temp)
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopTimeout, func() { _ = s.cmd.Process.Kill() })
	s.out.Wait()
	err := s.cmd.Wait()
	if !kill.Stop() {
		return fmt.Errorf("the server did not stop within %v%s", stopTimeout, s.log.quote())
	}
	if err != nil {
		return fmt.Errorf("the server ended badly: %w%s", err, s.log.quote())
	}
	return nil
}

// operatorToken is that of the server.
func (s *server) operatorToken() (string, error) {
	b, err := os.ReadFile(filepath.Join(s.Data, account.OperatorTokenFile))
	if err != nil {
		return "", fmt.Errorf("the operator's token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// tail keeps the last of what a process said.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - tailSize; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(p), nil
}

func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.buf) == 0 {
		return ""
	}
	return "; it said last:\n" + string(t.buf)
}

//go:build linux

package child

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/skein-im/skein/internal/patience"
)

// role makes the test binary a program that is started: a server that has another
// process, one that fails, or somebody who starts servers.
const role = "TEST_CHILD_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "server":
		serve()
	case "failing":
		say("at first", "then", "no room")
		os.Exit(1)
	case "starter":
		s := &Server{Dir: os.Getenv("TEST_CHILD_DIR")}
		if err := s.Launch(program("server", s), answer(s)); err != nil {
			panic(err)
		}
		fmt.Println(s.PIDs())
		select {}
	}
}

// say writes a log.
func say(lines ...string) {
	s := &Server{Dir: os.Getenv("TEST_CHILD_DIR")}
	if err := os.WriteFile(s.LogFile(), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		panic(err)
	}
}

// serve is a server whose second process never ends by itself.
func serve() {
	second := exec.Command("sleep", "3600")
	if err := second.Start(); err != nil {
		panic(err)
	}
	say("ready")
	_ = second.Wait()
	select {}
}

func program(as string, s *Server) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+as, "TEST_CHILD_DIR="+s.Dir)
	return cmd
}

// answer asks whether a server is ready.
func answer(s *Server) func(context.Context) error {
	return func(context.Context) error {
		if s.Log() != "ready\n" {
			return errors.New("not yet")
		}
		return nil
	}
}

// stopped reports whether a process is.
func stopped(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(text), ") ")
	return strings.HasPrefix(state, "T")
}

// TestServer: one is killed, paused and resumed with all its processes, and runs
// again.
func TestServer(t *testing.T) {
	s := &Server{Dir: t.TempDir()}
	s.Kill() // which is nothing yet
	if <-s.Ended(); !s.Down() || len(s.PIDs()) != 0 {
		t.Error("what was never started is up")
	}
	for range 2 {
		_ = os.Remove(s.LogFile())
		if err := s.Launch(program("server", s), answer(s)); err != nil {
			t.Fatal(err)
		}
		pids := s.PIDs()
		if s.Down() || len(pids) != 2 {
			t.Fatalf("down %v, processes %v", s.Down(), pids)
		}
		s.Pause()
		patience.Until(t, "a pause of all", func() (bool, any) { return stopped(pids[0]) && stopped(pids[1]), pids })
		if !s.Down() {
			t.Error("a server that is paused is up")
		}
		s.Resume()
		patience.Until(t, "the end of a pause", func() (bool, any) { return !stopped(pids[0]) && !stopped(pids[1]), pids })
		if s.Down() {
			t.Error("a server that goes on is down")
		}
		s.Kill()
		<-s.Ended()
		if !s.Down() || !over(pids[0]) || !over(pids[1]) || len(s.PIDs()) != 0 {
			t.Errorf("after SIGKILL: down %v, processes %v, %v", s.Down(), over(pids[0]), over(pids[1]))
		}
		s.Kill()
		s.Pause()
		s.Resume()
	}
}

// TestServerFails: why a server does not start is in the error, and nothing of it is
// left.
func TestServerFails(t *testing.T) {
	s := &Server{Dir: t.TempDir()}
	err := s.Launch(program("failing", s), answer(s))
	if err == nil || !strings.Contains(err.Error(), "it has ended: no room") || !s.Down() {
		t.Errorf("a server that ends: %v", err)
	}
	if err := s.Launch(exec.Command("/nonexistent/server"), answer(s)); err == nil {
		t.Error("a server that does not exist was started")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	tired, asked := errors.New("tired"), 0
	err = Poll(ctx, func() error {
		if asked++; asked == 3 {
			cancel(tired)
		}
		return errors.New("not yet")
	})
	if !errors.Is(err, tired) || !strings.Contains(err.Error(), "not yet") {
		t.Errorf("a question without an answer: %v", err)
	}
}

// TestOrphan: a server ends with the process that has started it, however that ends.
func TestOrphan(t *testing.T) {
	dir := t.TempDir()
	starter := program("starter", &Server{Dir: dir})
	out, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	pids := strings.Fields(strings.Trim(strings.TrimSpace(said), "[]"))
	if err != nil || len(pids) != 2 {
		t.Fatalf("it said %q, %v", said, err)
	}
	server, err := strconv.Atoi(pids[0])
	if err != nil {
		t.Fatal(err)
	}
	_ = starter.Process.Kill()
	_ = starter.Wait()
	patience.Until(t, "the end of the server", func() (bool, any) { return over(server), said })
	// What the server itself has started would end by itself, if it were one.
	if second, err := strconv.Atoi(pids[1]); err == nil {
		_ = syscall.Kill(second, syscall.SIGKILL)
	}
}

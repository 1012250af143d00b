package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Server is a server that runs, was killed, or was never started. Who changes that
// does so alone.
type Server struct {
	// Dir is its own; its log is a file in it.
	Dir string

	process *process
	paused  bool
}

// LogFile is where it has to write its log.
func (s *Server) LogFile() string { return filepath.Join(s.Dir, "log") }

// StartTimeout is how long a server may take to answer.
const StartTimeout = time.Minute

// Launch starts the server and waits until ask gets an answer from it.
func (s *Server) Launch(cmd *exec.Cmd, ask func(context.Context) error) error {
	p, err := start(cmd)
	if err != nil {
		return err
	}
	s.process, s.paused = p, false
	ctx, cancel := context.WithTimeoutCause(context.Background(), StartTimeout, fmt.Errorf("no answer within %v", StartTimeout))
	defer cancel()
	err = Poll(ctx, func() error {
		if p.ended() {
			return fatal{errors.New("it has ended")}
		}
		return ask(ctx)
	})
	if err != nil {
		s.Kill()
		return fmt.Errorf("start %s: %w: %s", cmd.Path, err, s.lastLog())
	}
	return nil
}

// Log is what the server has logged.
func (s *Server) Log() string {
	text, _ := os.ReadFile(s.LogFile())
	return string(text)
}

func (s *Server) lastLog() []byte {
	text := bytes.TrimSpace([]byte(s.Log()))
	return text[bytes.LastIndexByte(text, '\n')+1:]
}

// PIDs are the server's processes, the one that has started the others first; none
// if it does not run.
func (s *Server) PIDs() []int {
	if s.process == nil || s.process.ended() {
		return nil
	}
	return append([]int{s.process.pid}, Descendants(s.process.pid)...)
}

// Kill ends the server with all its processes, as a machine does that loses power,
// and waits for its end.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.kill()
	}
}

// Pause stops the server as a machine that hangs does: its connections stay.
func (s *Server) Pause() {
	s.paused = true
	s.process.signalAll(syscall.SIGSTOP)
}

// Resume lets a paused server go on.
func (s *Server) Resume() {
	s.paused = false
	s.process.signalAll(syscall.SIGCONT)
}

// Signal tells the server something, without its other processes.
func (s *Server) Signal(sig os.Signal) { s.process.signal(sig) }

// Ended is closed when the server has ended, or if it was never started.
func (s *Server) Ended() <-chan struct{} {
	if s.process != nil {
		return s.process.done
	}
	never := make(chan struct{})
	close(never)
	return never
}

// Down reports whether the server was killed or is paused, or never started.
func (s *Server) Down() bool { return s.process == nil || s.paused || s.process.ended() }

// fatal is an error that Poll need not wait to go away.
type fatal struct{ error }

// Poll calls f until it succeeds.
func Poll(ctx context.Context, f func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		var stop fatal
		if err == nil || errors.As(err, &stop) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

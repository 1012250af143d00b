package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/rueidis"

	"github.com/skein-im/skein/internal/freeport"
)

// Server is a running server, or one that was killed.
type Server struct {
	Addr string
	// ID names it in its cluster.
	ID string

	port, bus string
	dir       string
	binary    string
	extra     []string
	process   *process
	paused    bool
}

// ErrMissing: no server is installed.
var ErrMissing = errors.New("no redis-server or valkey-server is installed; scripts/deps.sh installs one")

// Find returns the path of the server's binary.
func Find() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrMissing
}

// Safe are the settings that keep what was acknowledged.
func Safe() []string {
	return []string{"--appendonly", "yes", "--appendfsync", "always"}
}

// Start starts a server and waits until it answers. Settings are those of
// redis.conf, as on its command line.
func Start(settings ...string) (*Server, error) {
	binary, err := Find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "skein-redis-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, binary: binary, extra: settings}
	if err = s.choosePorts(); err == nil {
		err = s.Restart()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func (s *Server) choosePorts() error {
	bus, err := freeport.Take()
	if err == nil {
		_, s.bus, err = net.SplitHostPort(bus)
	}
	if err == nil {
		s.Addr, err = freeport.Take()
	}
	if err == nil {
		_, s.port, err = net.SplitHostPort(s.Addr)
	}
	return err
}

// startTimeout is how long a server may take to answer.
const startTimeout = time.Minute

// Restart starts the server again on what it has on disk.
func (s *Server) Restart() error {
	args := append([]string{
		"--port", s.port, "--bind", "127.0.0.1", "--dir", s.dir, "--logfile", filepath.Join(s.dir, "log"),
		"--save", "", "--daemonize", "no", "--repl-diskless-sync-delay", "0", "--protected-mode", "no",
	}, s.extra...)
	if s.clustered() {
		args = append(args, "--cluster-port", s.bus)
	}
	p, err := startProcess(s.binary, args)
	if err != nil {
		return err
	}
	s.process, s.paused = p, false
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		s.Kill()
		return fmt.Errorf("start %s: %w: %s", s.binary, err, s.lastLog())
	}
	return nil
}

func (s *Server) clustered() bool {
	for i := range s.extra {
		if s.extra[i] == "--cluster-enabled" {
			return true
		}
	}
	return false
}

// ready waits until the server answers a PING, or has ended.
func (s *Server) ready(ctx context.Context) error {
	return poll(ctx, func() error {
		select {
		case <-s.process.done:
			return fatal{errors.New("it has ended")}
		default:
		}
		_, err := s.Do(ctx, "PING")
		return err
	})
}

func (s *Server) lastLog() []byte {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return text[bytes.LastIndexByte(bytes.TrimSpace(text), '\n')+1:]
}

// Log is what the server has logged.
func (s *Server) Log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(text)
}

// PID is the server's process.
func (s *Server) PID() int { return s.process.pid }

// Kill ends the server as a crash does, and waits for its end.
func (s *Server) Kill() {
	s.process.signal(syscall.SIGKILL)
	<-s.process.done
}

// Pause stops the server as a machine that hangs does: its connections stay.
func (s *Server) Pause() {
	s.paused = true
	s.process.signal(syscall.SIGSTOP)
}

// Resume lets a paused server go on.
func (s *Server) Resume() {
	s.paused = false
	s.process.signal(syscall.SIGCONT)
}

// Down reports whether the server was killed or is paused.
func (s *Server) Down() bool {
	select {
	case <-s.process.done:
		return true
	default:
		return s.paused
	}
}

// Stop kills the server and removes its directory.
func (s *Server) Stop() error {
	s.Kill()
	return os.RemoveAll(s.dir)
}

// Do runs one command on a connection of its own.
func (s *Server) Do(ctx context.Context, args ...string) (rueidis.RedisMessage, error) {
	c, err := s.connect()
	if err != nil {
		return rueidis.RedisMessage{}, err
	}
	defer c.Close()
	return c.Do(ctx, c.B().Arbitrary(args...).Build()).ToMessage()
}

func (s *Server) connect() (rueidis.Client, error) {
	c, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{s.Addr}, ForceSingleClient: true, DisableRetry: true, DisableCache: true,
		PipelineMultiplex: -1, ConnWriteTimeout: 5 * time.Second,
		Dialer:        net.Dialer{Timeout: 10 * time.Second, KeepAlive: -1},
		ClientSetInfo: rueidis.DisableClientSetInfo,
	})
	if err != nil && c != nil {
		c.Close()
	}
	return c, err
}

// Info is a field of what INFO says; "": there is none.
func (s *Server) Info(ctx context.Context, field string) (string, error) {
	m, err := s.Do(ctx, "INFO", "everything")
	if err != nil {
		return "", err
	}
	text, err := m.ToString()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && key == field {
			return value, nil
		}
	}
	return "", nil
}

// CPU is the processor time that the server has used.
func (s *Server) CPU(ctx context.Context) (time.Duration, error) {
	var sum float64
	for _, field := range []string{"used_cpu_sys", "used_cpu_user"} {
		text, err := s.Info(ctx, field)
		if err != nil {
			return 0, err
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return time.Duration(sum * float64(time.Second)), nil
}

// fatal is an error that poll need not wait to go away.
type fatal struct{ error }

// poll calls f until it succeeds.
func poll(ctx context.Context, f func() error) error {
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

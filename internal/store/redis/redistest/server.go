package redistest

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/skein-im/skein/internal/child"
	"github.com/skein-im/skein/internal/freeport"
)

// Server is a running server, or one that was killed.
type Server struct {
	child.Server
	Addr string
	// ID names it in its cluster.
	ID string

	port, bus string
	binary    string
	extra     []string
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
	s := &Server{Server: child.Server{Dir: dir}, binary: binary, extra: settings}
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

// Restart starts the server again on what it has on disk.
func (s *Server) Restart() error {
	args := append([]string{
		"--port", s.port, "--bind", "127.0.0.1", "--dir", s.Dir, "--logfile", s.LogFile(),
		"--save", "", "--daemonize", "no", "--repl-diskless-sync-delay", "0", "--protected-mode", "no",
	}, s.extra...)
	if s.clustered() {
		args = append(args, "--cluster-port", s.bus)
	}
	return s.Launch(exec.Command(s.binary, args...), func(ctx context.Context) error {
		_, err := s.Do(ctx, "PING")
		return err
	})
}

func (s *Server) clustered() bool {
	for i := range s.extra {
		if s.extra[i] == "--cluster-enabled" {
			return true
		}
	}
	return false
}

// Stop kills the server and removes its directory.
func (s *Server) Stop() error {
	s.Kill()
	return os.RemoveAll(s.Dir)
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

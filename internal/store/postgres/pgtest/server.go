package pgtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/skein-im/skein/internal/child"
	"github.com/skein-im/skein/internal/freeport"
)

// Server is a running server, or one that was killed.
type Server struct {
	child.Server
	// Addr is host:port, Name what it calls itself to a primary.
	Addr, Name string

	bin, port string
	settings  []string
	// as is whom it runs as; nil: whoever runs the test.
	as *syscall.Credential
}

// ErrMissing: no server is installed.
var ErrMissing = errors.New("no PostgreSQL server is installed; scripts/deps.sh installs one")

// programs are what is used of an installation.
var programs = []string{"postgres", "initdb", "pg_basebackup", "pg_dump", "pg_rewind"}

// Find returns the directory of the server's programs, the newest if there are
// several: Debian has them out of the path.
func Find() (string, error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, dir := range slices.Backward(dirs) {
		if !slices.ContainsFunc(programs, func(p string) bool { _, err := exec.LookPath(filepath.Join(dir, p)); return err != nil }) {
			return dir, nil
		}
	}
	return "", ErrMissing
}

// User and Database are what servers have.
const (
	User     = "skein"
	Database = "postgres"
)

// Start makes a server with an empty database and waits until it answers.
// Settings are those of postgresql.conf, as name=value.
func Start(settings ...string) (*Server, error) {
	s, err := newServer("alone", settings)
	if err != nil {
		return nil, err
	}
	err = s.run("initdb", "-D", s.data(), "-U", User, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if err == nil {
		err = s.startAnywhere()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.Dir))
	}
	return s, nil
}

// newServer makes the directory of a server.
func newServer(name string, settings []string) (*Server, error) {
	bin, err := Find()
	if err != nil {
		return nil, err
	}
	as, err := account()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "skein-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{Server: child.Server{Dir: dir}, Name: name, bin: bin, as: as, settings: settings}
	return s, give(dir, as)
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// run runs one of the programs that come with the server.
func (s *Server) run(program string, args ...string) error {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir, cmd.SysProcAttr = s.Dir, attributes(s.as)
	cmd.Env = []string{"LC_ALL=C", "PATH=" + s.bin + ":/usr/bin:/bin", "HOME=" + s.Dir, "PGPASSFILE=/dev/null"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(out))
	}
	return nil
}

// startAnywhere starts the server on a free port.
func (s *Server) startAnywhere() (err error) {
	if s.Addr, err = freeport.Take(); err != nil {
		return err
	}
	if _, s.port, err = net.SplitHostPort(s.Addr); err != nil {
		return err
	}
	return s.Restart()
}

// Restart starts the server again on what it has on disk.
func (s *Server) Restart() error {
	args := []string{"-D", s.data(), "-p", s.port, "-k", s.Dir}
	for _, set := range append([]string{
		"listen_addresses=127.0.0.1", "max_connections=300", "shared_buffers=64MB", "max_wal_size=2GB", "wal_keep_size=256MB",
		// What a killed server has shared goes with its directory.
		"dynamic_shared_memory_type=mmap", "cluster_name=" + s.Name, "log_line_prefix=%m [%p] ", "lc_messages=C",
	}, s.settings...) {
		args = append(args, "-c", set)
	}
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Dir, cmd.SysProcAttr, cmd.Stderr, cmd.Stdout = s.Dir, attributes(s.as), log, log
	return s.Launch(cmd, func(ctx context.Context) error {
		_, err := s.Query(ctx, "SELECT 1")
		return err
	})
}

// URL is the server's address as clients are given it, for a database and user
// that are there.
func (s *Server) URL() string { return URL(s) }

// URL names several servers.
func URL(servers ...*Server) string {
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.Addr)
	}
	return "postgres://" + User + "@" + strings.Join(addrs, ",") + "/" + Database + "?sslmode=disable"
}

// Query runs statements on a connection of its own, and returns the first column
// of the last one's rows.
func (s *Server) Query(ctx context.Context, sql string) ([]string, error) {
	c, err := pgconn.Connect(ctx, s.URL())
	if err != nil {
		return nil, err
	}
	defer c.Close(context.Background())
	results, err := c.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return nil, err
	}
	var column []string
	for _, row := range results[len(results)-1].Rows {
		column = append(column, string(row[0]))
	}
	return column, nil
}

// Stop ends the server, which clears up what it shares with others, and removes
// its directory.
func (s *Server) Stop() error {
	select {
	case <-s.Ended():
		release(s.data())
	default:
		s.Resume()
		s.Signal(syscall.SIGQUIT)
		<-s.Ended()
	}
	return os.RemoveAll(s.Dir)
}

// Authenticate has a role show a password from now on, until restore is called.
func (s *Server) Authenticate(role string) (restore func(), err error) {
	file := filepath.Join(s.data(), "pg_hba.conf")
	old, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	write := func(text []byte) error {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
		_, err := s.Query(context.Background(), "SELECT pg_reload_conf()")
		return err
	}
	rule := fmt.Sprintf("host all %s 127.0.0.1/32 scram-sha-256\n", role)
	return func() { _ = write(old) }, write(append([]byte(rule), old...))
}

// Encrypt has the server offer TLS, with a certificate and its key.
func (s *Server) Encrypt(cert, key []byte) error {
	for name, text := range map[string][]byte{"server.crt": cert, "server.key": key} {
		file := filepath.Join(s.data(), name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
		if err := give(file, s.as); err != nil {
			return err
		}
	}
	return s.Set(context.Background(), "ssl", "on")
}

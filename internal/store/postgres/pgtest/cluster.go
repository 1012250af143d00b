package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/skein-im/skein/internal/child"
)

// Cluster is a primary with standbys that follow it.
type Cluster struct {
	// Servers are all of them; Primary is one of them.
	Servers []*Server
	Primary *Server
	// confirm is how many standbys have a commit before it is acknowledged.
	confirm int
}

// StartCluster starts a primary and standbys, of which any confirm have to have a
// commit, and waits until they follow.
func StartCluster(standbys, confirm int, settings ...string) (_ *Cluster, err error) {
	c := &Cluster{confirm: confirm}
	if c.Primary, err = Start(settings...); err != nil {
		return nil, err
	}
	c.Primary.Name = "server0"
	c.Servers = []*Server{c.Primary}
	errs := make([]error, standbys)
	for i := range standbys {
		s, err := newServer(fmt.Sprintf("server%d", i+1), settings)
		if err != nil {
			return nil, errors.Join(err, c.Stop())
		}
		c.Servers = append(c.Servers, s)
	}
	var wg sync.WaitGroup
	for i := range standbys {
		wg.Go(func() { errs[i] = c.Servers[i+1].copyOf(c.Primary) })
	}
	wg.Wait()
	if err = errors.Join(errs...); err == nil {
		err = c.form()
	}
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// form makes the primary wait for the standbys.
func (c *Cluster) form() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*child.StartTimeout)
	defer cancel()
	if err := c.AwaitFollowing(ctx); err != nil {
		return err
	}
	return c.waitFor(ctx, c.Primary)
}

// copyOf makes the server a copy of a primary that follows it, and starts it.
func (s *Server) copyOf(primary *Server) error {
	if err := os.RemoveAll(s.data()); err != nil {
		return err
	}
	if err := s.run("pg_basebackup", "-D", s.data(), "-d", primary.connInfo(s), "-c", "fast", "-X", "stream", "--no-sync"); err != nil {
		return err
	}
	if err := s.setAside(primary); err != nil {
		return err
	}
	if s.port == "" {
		return s.startAnywhere()
	}
	return s.Restart()
}

// connInfo is how a standby connects to the server.
func (s *Server) connInfo(as *Server) string {
	return fmt.Sprintf("host=127.0.0.1 port=%s user=%s application_name=%s", s.port, User, as.Name)
}

// setAside makes the server, which does not run, a standby of another.
func (s *Server) setAside(primary *Server) error {
	conf := filepath.Join(s.data(), "postgresql.auto.conf")
	text := fmt.Sprintf("primary_conninfo = '%s'\nrecovery_target_timeline = 'latest'\n", primary.connInfo(s))
	signal := filepath.Join(s.data(), "standby.signal")
	for file, text := range map[string]string{conf: text, signal: ""} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		if err := give(file, s.as); err != nil {
			return err
		}
	}
	return nil
}

// waitFor makes a primary wait for standbys.
func (c *Cluster) waitFor(ctx context.Context, primary *Server) error {
	var names []string
	for _, s := range c.Servers {
		if s != primary {
			names = append(names, s.Name)
		}
	}
	value := ""
	if c.confirm > 0 {
		value = fmt.Sprintf("ANY %d (%s)", c.confirm, strings.Join(names, ", "))
	}
	return primary.Set(ctx, "synchronous_standby_names", value)
}

// Set changes a setting of a running server.
func (s *Server) Set(ctx context.Context, name, value string) error {
	if _, err := s.Query(ctx, fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", name, value)); err != nil {
		return err
	}
	_, err := s.Query(ctx, "SELECT pg_reload_conf()")
	return err
}

// Standbys are the servers besides the primary.
func (c *Cluster) Standbys() []*Server {
	return slices.DeleteFunc(slices.Clone(c.Servers), func(s *Server) bool { return s == c.Primary })
}

// AwaitFollowing waits until all servers that are up follow the primary.
func (c *Cluster) AwaitFollowing(ctx context.Context) error {
	up := 0
	for _, s := range c.Standbys() {
		if !s.Down() {
			up++
		}
	}
	return child.Poll(ctx, func() error {
		got, err := c.Primary.Query(ctx, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
		if err == nil && got[0] != strconv.Itoa(up) {
			err = fmt.Errorf("%s of %d standbys follow %s", got[0], up, c.Primary.Name)
		}
		return err
	})
}

// Failover makes a standby the primary, as whoever manages such servers does:
// all standbys that can be reached let go of the old one, so that it gets no more
// confirmations; the one that has received most is promoted; the others follow
// it.
func (c *Cluster) Failover(ctx context.Context) error {
	standbys := slices.DeleteFunc(c.Standbys(), (*Server).Down)
	if len(c.Servers)-1-len(standbys) >= max(1, c.confirm) {
		return errors.New("too few standbys are up to know which of them has everything")
	}
	var best *Server
	var most uint64
	for _, s := range standbys {
		have, err := s.letGo(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		if best == nil || have > most {
			best, most = s, have
		}
	}
	if err := c.waitFor(ctx, best); err != nil {
		return err
	}
	if _, err := best.Query(ctx, "SELECT pg_promote(true, 60)"); err != nil {
		return err
	}
	c.Primary = best
	for _, s := range standbys {
		if s != best {
			if err := s.Set(ctx, "primary_conninfo", best.connInfo(s)); err != nil {
				return err
			}
		}
	}
	return nil
}

// letGo has a standby receive nothing any more, and says what it has.
func (s *Server) letGo(ctx context.Context) (uint64, error) {
	if err := s.Set(ctx, "primary_conninfo", ""); err != nil {
		return 0, err
	}
	if err := child.Poll(ctx, func() error {
		got, err := s.Query(ctx, "SELECT count(*) FROM pg_stat_wal_receiver")
		if err == nil && got[0] != "0" {
			err = errors.New("it still receives")
		}
		return err
	}); err != nil {
		return 0, err
	}
	// What was received and what was there when the server started.
	got, err := s.Query(ctx, "SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'::pg_lsn")
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(got[0], 10, 64)
}

// Return brings a server that was killed, or has been replaced while it hung,
// back as a standby of the primary.
func (c *Cluster) Return(s *Server) error {
	s.Kill()
	if err := s.rewind(c.Primary); err != nil {
		// A copy takes longer, and always works.
		return s.copyOf(c.Primary)
	}
	return s.Restart()
}

// rewind takes back what the server has written that the primary has not.
func (s *Server) rewind(primary *Server) error {
	source := fmt.Sprintf("host=127.0.0.1 port=%s user=%s dbname=%s", primary.port, User, Database)
	if err := s.run("pg_rewind", "-D", s.data(), "--source-server", source, "--no-sync"); err != nil {
		return err
	}
	return s.setAside(primary)
}

// PIDs are the processes of all servers.
func (c *Cluster) PIDs() []int {
	var pids []int
	for _, s := range c.Servers {
		pids = append(pids, s.PIDs()...)
	}
	return pids
}

// Stop ends all servers and removes their directories.
func (c *Cluster) Stop() error {
	var err error
	for _, s := range c.Servers {
		err = errors.Join(err, s.Stop())
	}
	return err
}

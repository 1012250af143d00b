package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/skein-im/skein/internal/child"
)

// Cluster is a Redis Cluster.
type Cluster struct {
	// Servers holds the first primaries, then the first replicas.
	Servers []*Server
	// Primaries is how many of them have slots.
	Primaries int
}

// ClusterSettings are Safe, for servers of a cluster that finds a dead one in
// two seconds.
func ClusterSettings() []string {
	return append(Safe(), "--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
		"--cluster-allow-replica-migration", "no")
}

// redisSlots is how many slots a cluster has.
const redisSlots = 16384

// StartCluster starts primaries with some replicas each, and waits until all
// replicas follow.
func StartCluster(primaries, replicas int, settings ...string) (_ *Cluster, err error) {
	c := &Cluster{Primaries: primaries, Servers: make([]*Server, primaries*(1+replicas))}
	errs := make([]error, len(c.Servers))
	var wg sync.WaitGroup
	for i := range c.Servers {
		wg.Go(func() { c.Servers[i], errs[i] = Start(settings...) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*child.StartTimeout)
	defer cancel()
	if err := c.form(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("form a cluster: %w", err), c.Stop())
	}
	return c, nil
}

func (c *Cluster) form(ctx context.Context) error {
	first := c.Servers[0]
	for i, s := range c.Servers {
		id, err := s.Do(ctx, "CLUSTER", "MYID")
		if err == nil {
			s.ID, err = id.ToString()
		}
		if err == nil {
			_, err = s.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		}
		if err == nil && i < c.Primaries {
			from, to := i*redisSlots/c.Primaries, (i+1)*redisSlots/c.Primaries-1
			_, err = s.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(from), strconv.Itoa(to))
		}
		if err == nil && i > 0 {
			_, err = s.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", first.port, first.bus)
		}
		if err != nil {
			return err
		}
	}
	for i, s := range c.Servers[c.Primaries:] {
		primary := c.Servers[i%c.Primaries]
		if err := child.Poll(ctx, func() error {
			_, err := s.Do(ctx, "CLUSTER", "REPLICATE", primary.ID)
			return err
		}); err != nil {
			return err
		}
	}
	return c.AwaitReady(ctx)
}

// AwaitReady waits until every server that is not down knows all of these,
// sees all slots served, and, if it is a replica, follows its primary.
func (c *Cluster) AwaitReady(ctx context.Context) error {
	for _, s := range c.Servers {
		if s.Down() {
			continue
		}
		if err := child.Poll(ctx, func() error { return c.isReady(ctx, s) }); err != nil {
			return fmt.Errorf("%s: %w", s.Addr, err)
		}
	}
	return nil
}

func (c *Cluster) isReady(ctx context.Context, s *Server) error {
	m, err := s.Do(ctx, "CLUSTER", "INFO")
	if err != nil {
		return err
	}
	info, err := m.ToString()
	if err != nil {
		return err
	}
	if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", len(c.Servers))) {
		return errors.New("it does not see the whole cluster")
	}
	role, err := s.Info(ctx, "role")
	if err != nil {
		return err
	}
	if role == "master" {
		// One that was replaced while it was away hears of that after a moment.
		has, err := c.HasSlots(ctx, s)
		if err == nil && !has {
			err = errors.New("it does not know that another server has its slots")
		}
		return err
	}
	if link, err := s.Info(ctx, "master_link_status"); err != nil || link != "up" {
		return errors.Join(err, errors.New("it does not follow its primary"))
	}
	return nil
}

// HasSlots reports whether a server has any slots, as the others see it.
func (c *Cluster) HasSlots(ctx context.Context, server *Server) (bool, error) {
	for _, s := range c.Servers {
		if s == server || s.Down() {
			continue
		}
		m, err := s.Do(ctx, "CLUSTER", "SLOTS")
		if err != nil {
			return false, err
		}
		ranges, err := slotRanges(m)
		if err != nil {
			return false, err
		}
		for _, r := range ranges {
			if r.addr == server.Addr {
				return true, nil
			}
		}
		return false, nil
	}
	return false, errors.New("no other server is up")
}

// Owner is the server that has a slot now, as those that are not down agree.
func (c *Cluster) Owner(ctx context.Context, slot uint16) (*Server, error) {
	for _, s := range c.Servers {
		if s.Down() {
			continue
		}
		addr, err := ownerOf(ctx, s, slot)
		if err != nil {
			return nil, err
		}
		for _, o := range c.Servers {
			if o.Addr == addr {
				return o, nil
			}
		}
	}
	return nil, fmt.Errorf("nobody has slot %d", slot)
}

func ownerOf(ctx context.Context, s *Server, slot uint16) (string, error) {
	m, err := s.Do(ctx, "CLUSTER", "SLOTS")
	if err != nil {
		return "", err
	}
	ranges, err := slotRanges(m)
	if err != nil {
		return "", err
	}
	for _, r := range ranges {
		if r.first <= int64(slot) && int64(slot) <= r.last {
			return r.addr, nil
		}
	}
	return "", fmt.Errorf("%s knows of nobody who has slot %d", s.Addr, slot)
}

// slotRange is a range of slots and the primary that has them.
type slotRange struct {
	first, last int64
	addr        string
}

// slotRanges reads what CLUSTER SLOTS answers.
func slotRanges(m rueidis.RedisMessage) ([]slotRange, error) {
	list, err := m.ToArray()
	if err != nil {
		return nil, err
	}
	var ranges []slotRange
	for _, r := range list {
		f, err := r.ToArray()
		if err != nil || len(f) < 3 {
			return nil, fmt.Errorf("CLUSTER SLOTS answered %v", r)
		}
		server, err := f[2].ToArray()
		if err != nil || len(server) < 2 {
			return nil, fmt.Errorf("CLUSTER SLOTS answered %v", r)
		}
		first, err1 := f[0].ToInt64()
		last, err2 := f[1].ToInt64()
		host, err3 := server[0].ToString()
		port, err4 := server[1].ToInt64()
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return nil, err
		}
		ranges = append(ranges, slotRange{first, last, net.JoinHostPort(host, strconv.FormatInt(port, 10))})
	}
	return ranges, nil
}

// MoveSlot moves a slot with all its keys, some at a time, from the server
// that has it to another, as redis-cli --cluster reshard does.
func (c *Cluster) MoveSlot(ctx context.Context, slot uint16, to *Server) error {
	from, err := c.Owner(ctx, slot)
	if err != nil || from == to {
		return err
	}
	n := strconv.Itoa(int(slot))
	if _, err := to.Do(ctx, "CLUSTER", "SETSLOT", n, "IMPORTING", from.ID); err != nil {
		return err
	}
	if _, err := from.Do(ctx, "CLUSTER", "SETSLOT", n, "MIGRATING", to.ID); err != nil {
		return err
	}
	for {
		m, err := from.Do(ctx, "CLUSTER", "GETKEYSINSLOT", n, "3")
		if err != nil {
			return err
		}
		keys, err := m.AsStrSlice()
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		args := append([]string{"MIGRATE", "127.0.0.1", to.port, "", "0", "5000", "KEYS"}, keys...)
		if _, err := from.Do(ctx, args...); err != nil {
			return err
		}
	}
	// The new owner first: it must not be left without the slot.
	for _, s := range append([]*Server{to, from}, c.Servers...) {
		if role, err := s.Info(ctx, "role"); err != nil || role != "master" {
			continue
		}
		if _, err := s.Do(ctx, "CLUSTER", "SETSLOT", n, "NODE", to.ID); err != nil {
			return err
		}
	}
	return nil
}

// Addrs are the servers' addresses.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, s := range c.Servers {
		addrs = append(addrs, s.Addr)
	}
	return addrs
}

// CPU is the processor time that the servers have used.
func (c *Cluster) CPU(ctx context.Context) (time.Duration, error) {
	var sum time.Duration
	for _, s := range c.Servers {
		cpu, err := s.CPU(ctx)
		if err != nil {
			return 0, err
		}
		sum += cpu
	}
	return sum, nil
}

// Stop kills all servers and removes their directories.
func (c *Cluster) Stop() error {
	var err error
	for _, s := range c.Servers {
		if s != nil {
			err = errors.Join(err, s.Stop())
		}
	}
	return err
}

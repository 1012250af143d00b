package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/skein-im/skein/internal/im"
)

// topology knows the servers, and which of them has which Redis slot. What it
// knows may be out of date: servers correct it.
type topology struct {
	opts    *Options
	cluster bool
	owners  [redisSlots]atomic.Pointer[node]
	// replicas is the most that a primary has had.
	replicas atomic.Int32
	// counted is when that was looked up last, in nanoseconds since 1970.
	counted atomic.Int64

	mu    sync.Mutex
	nodes map[string]*node
	// refreshing holds back all but one of those who look again; looked is
	// when that was done last.
	refreshing sync.Mutex
	looked     time.Time
}

func newTopology(opts *Options) *topology {
	t := &topology{opts: opts, nodes: map[string]*node{}}
	for _, addr := range opts.Addresses {
		t.node(addr)
	}
	return t
}

// node returns the server at an address, known or not.
func (t *topology) node(addr string) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[addr]
	if n == nil {
		n = newNode(addr, t.opts)
		t.nodes[addr] = n
	}
	return n
}

// known lists the servers, those that answered last time first.
func (t *topology) known() []*node {
	t.mu.Lock()
	defer t.mu.Unlock()
	var well, suspect []*node
	for _, n := range t.nodes {
		if n.suspect.Load() {
			suspect = append(suspect, n)
		} else {
			well = append(well, n)
		}
	}
	return append(well, suspect...)
}

// primaries lists the servers that have slots.
func (t *topology) primaries() []*node {
	var all []*node
	for i := range t.owners {
		if n := t.owners[i].Load(); n != nil && !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

func (t *topology) close() {
	for _, n := range t.known() {
		n.close()
	}
}

// refreshEvery is the least time between two looks at who has which slot.
const refreshEvery = 50 * time.Millisecond

// refresh asks one server after the other who has which slot, until one
// answers.
func (t *topology) refresh(ctx context.Context) error {
	t.refreshing.Lock()
	defer t.refreshing.Unlock()
	if time.Since(t.looked) < refreshEvery {
		return nil
	}
	defer func() { t.looked = time.Now() }()
	var failed error
	for _, n := range t.known() {
		err := t.ask(ctx, n)
		if err == nil || ctx.Err() != nil {
			return err
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", n.addr, err))
	}
	return failed
}

// ask takes one server's word for who has which slot.
func (t *topology) ask(ctx context.Context, n *node) error {
	ctx, cancel := context.WithTimeout(ctx, t.opts.DialTimeout)
	defer cancel()
	c, err := n.acquire()
	if err != nil {
		n.suspect.Store(true)
		return err
	}
	res := c.client.Do(ctx, c.client.B().ClusterSlots().Build())
	n.release(c, res.NonRedisError() != nil)
	if _, isRedis := rueidis.IsRedisErr(res.Error()); isRedis && !t.cluster {
		// A server that is not part of a cluster has no such command.
		for i := range t.owners {
			t.owners[i].Store(n)
		}
		return nil
	}
	ranges, err := res.ToArray()
	if err != nil {
		return err
	}
	if !t.cluster {
		t.cluster = true
	}
	if err := t.take(n, ranges); err != nil || t.opts.Replicas >= 0 {
		return err
	}
	return t.count(ctx, n)
}

// take reads the answer: a list of first slot, last slot, primary, replicas.
func (t *topology) take(from *node, ranges []rueidis.RedisMessage) error {
	host, _, err := net.SplitHostPort(from.addr)
	if err != nil {
		return err
	}
	covered := int64(0)
	for _, r := range ranges {
		fields, err := r.ToArray()
		if err != nil || len(fields) < 3 {
			return fmt.Errorf("CLUSTER SLOTS answered a range of %d fields", len(fields))
		}
		first, err := fields[0].ToInt64()
		last, err2 := fields[1].ToInt64()
		if err := errors.Join(err, err2); err != nil || first < 0 || last >= redisSlots {
			return fmt.Errorf("CLUSTER SLOTS answered slots %d to %d", first, last)
		}
		for i := len(fields) - 1; i >= 2; i-- {
			addr, err := serverAddr(fields[i], host)
			if err != nil {
				return err
			}
			n := t.node(addr)
			for slot := first; i == 2 && slot <= last; slot++ {
				t.owners[slot].Store(n)
			}
		}
		covered += last - first + 1
	}
	if covered < redisSlots {
		return &uncovered{covered}
	}
	return nil
}

// uncovered says that there are Redis slots without a server.
type uncovered struct{ covered int64 }

func (e *uncovered) Error() string {
	return fmt.Sprintf("only %d of %d slots of the cluster have a server", e.covered, redisSlots)
}

// nobody is the address of the server that has the slots that no server has: there
// is no way to it.
const nobody = "no server"

var errNobody = errors.New("no server of the cluster has these slots")

// fill gives slots of which nothing is known to nobody.
func (t *topology) fill() {
	none := newNode(nobody, t.opts)
	none.giveUp(time.Now())
	for i := range t.owners {
		if t.owners[i].Load() == nil {
			t.owners[i].Store(none)
		}
	}
}

// Place implements store.Placer.
func (s *Store) Place(slot im.Slot) string {
	return s.topology.owners[s.keys.places[slot]].Load().addr
}

// serverAddr reads host, port and more. A server that does not know its own
// name is meant by an empty one.
func serverAddr(m rueidis.RedisMessage, self string) (string, error) {
	fields, err := m.ToArray()
	if err != nil || len(fields) < 2 {
		return "", fmt.Errorf("CLUSTER SLOTS answered a server of %d fields", len(fields))
	}
	port, err := fields[1].ToInt64()
	if err != nil {
		return "", err
	}
	host, err := fields[0].ToString()
	if err != nil || host == "" {
		host = self
	}
	return net.JoinHostPort(host, strconv.FormatInt(port, 10)), nil
}

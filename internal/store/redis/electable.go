package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// ElectableReplicas, as Options.Replicas, is every replica that could be promoted
// in its primary's place, and at least one. While all are there it is the same as
// AllReplicas. It differs where a server is away that a cluster does not promote
// before it has synchronized: a former primary whose slots another has.
//
// The argument: Redis elects replicas only, and, unless
// cluster-replica-validity-factor is 0, none that has not been connected to its
// primary for some time or at all since it became a replica. A former primary
// becomes one when it hears that another has its slots, and then it has never been
// connected; before, it is a primary and cannot stand. So long as a primary's own
// table shows a server as a failed primary without slots, that server cannot take
// its place. All others that its table does not give to another primary may, so
// each of them must be connected and have acknowledged the write; and so must
// whoever is connected, whatever the table says, because what is connected may
// stand from then on. A server that connects later gets a copy that has the
// write, unless it can continue a stream of before (see docs/STORAGE.md).
const ElectableReplicas = -2

// electablePoll is how long to wait before a server is asked again how far its
// replicas are.
const electablePoll = 25 * time.Millisecond

// electableWait is how long a server waits for all replicas before it is asked
// which of them count.
const electableWait = 100 * time.Millisecond

// allElectable reports whether every replica that could take a server's place, of
// which there is one at least, has what was written to the server before it said
// written, which is an answer to INFO. It waits for that as long as for replicas. So
// many have confirmed it; most is how many primaries have.
func (s *Store) allElectable(ctx context.Context, n *node, written rueidis.RedisResult, have, most int) bool {
	deadline := time.Now().Add(s.opts.ReplicaTimeout)
	info, err := report(written)
	before := following{acked: map[string]int64{}}
	if err != nil || before.readInfo(info) != nil || before.offset == 0 {
		return false
	}
	if have >= max(most, len(before.acked)) {
		n.electable.Store(0)
		return true
	}
	for {
		v, err := n.following(ctx)
		if err != nil {
			return false
		}
		if v.confirmed(before.offset, most) {
			few := len(v.acked)
			if few >= most {
				few = 0
			}
			n.electable.Store(int32(few))
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		select {
		case <-time.After(electablePoll):
		case <-ctx.Done():
			return false
		}
	}
}

// following is what a primary says of its replicas.
type following struct {
	primary bool
	// offset is the end of its stream.
	offset int64
	// acked is how far the replicas that are connected have it, by address; -1:
	// they are still being copied to.
	acked map[string]int64
	// heirs are the addresses of servers that its table does not give to another
	// primary, former that of failed primaries without slots.
	heirs  []string
	former int
}

// following asks a server.
func (n *node) following(ctx context.Context) (*following, error) {
	info, err := report(n.do(ctx, "INFO", "replication"))
	if err != nil {
		return nil, err
	}
	// The table is read after the connections: who is in neither was not
	// connected when it was not in the table.
	table, err := report(n.do(ctx, "CLUSTER", "NODES"))
	if err != nil {
		return nil, err
	}
	v := &following{acked: map[string]int64{}}
	if err := v.readInfo(info); err != nil {
		return nil, err
	}
	return v, v.readTable(table)
}

var errInfo = errors.New("INFO replication cannot be read")

// readInfo reads what INFO says of replication.
func (v *following) readInfo(info string) (err error) {
	for line := range strings.Lines(info) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case key == "role":
			v.primary = value == "master"
		case key == "master_repl_offset":
			if v.offset, err = strconv.ParseInt(value, 10, 64); err != nil {
				return errInfo
			}
		case len(key) > len("slave") && strings.HasPrefix(key, "slave") && strings.HasPrefix(value, "ip="):
			if err := v.readReplica(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// readReplica reads ip=...,port=...,state=...,offset=...,lag=...
func (v *following) readReplica(value string) error {
	fields := map[string]string{}
	for f := range strings.SplitSeq(value, ",") {
		key, text, _ := strings.Cut(f, "=")
		fields[key] = text
	}
	offset, err := strconv.ParseInt(fields["offset"], 10, 64)
	if err != nil || fields["port"] == "" {
		return errInfo
	}
	if fields["state"] != "online" {
		offset = -1
	}
	v.acked[net.JoinHostPort(fields["ip"], fields["port"])] = offset
	return nil
}

// member is a line of CLUSTER NODES.
type member struct {
	addr, primary string
	flags         []string
	slots         bool
}

// readTable finds the heirs in what CLUSTER NODES says.
func (v *following) readTable(table string) error {
	members := map[string]*member{}
	self := ""
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 8 {
			return fmt.Errorf("CLUSTER NODES answered %q", line)
		}
		addr, _, _ := strings.Cut(f[1], "@")
		m := &member{addr: addr, primary: f[3], flags: strings.Split(f[2], ","), slots: len(f) > 8}
		members[f[0]] = m
		if slices.Contains(m.flags, "myself") {
			self = f[0]
		}
	}
	for id, m := range members {
		if id == self {
			continue
		}
		switch root := rootOf(members, id); {
		case slices.Contains(m.flags, "master") && !m.slots && slices.Contains(m.flags, "fail"):
			v.former++
		case root == self, root == "", !members[root].slots && root != id:
			v.heirs = append(v.heirs, m.addr)
		}
	}
	return nil
}

// rootOf follows a member's primaries to the last one; empty: it leads nowhere.
func rootOf(members map[string]*member, id string) string {
	for range members {
		m := members[id]
		if m == nil {
			return ""
		}
		if slices.Contains(m.flags, "master") {
			return id
		}
		id = m.primary
	}
	return ""
}

// confirmed reports whether all that could take the primary's place have its stream
// up to an offset. most is how many replicas primaries have: if so many have it,
// they are all; if fewer, who is missing beside former primaries may be on its way
// to the table.
func (v *following) confirmed(upTo int64, most int) bool {
	for _, acked := range v.acked {
		if acked < upTo {
			return false
		}
	}
	if !v.primary || len(v.acked) >= most {
		return v.primary
	}
	for _, addr := range v.heirs {
		if _, there := v.acked[addr]; !there {
			return false
		}
	}
	return len(v.acked) >= max(1, most-v.former)
}

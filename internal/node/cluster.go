package node

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// ClusterView is what the shared store says of the nodes and their slots.
type ClusterView struct {
	// Nodes by name.
	Nodes []ClusterNode `json:"nodes"`
	// Moving is how many slots are not with the node that is to serve them, as far
	// as that is known; those that nobody is to serve are among them.
	Moving int `json:"moving"`
	// Policy is what the operator wants of the placement.
	Policy cluster.Policy `json:"policy"`
	// Unknown is what could not be learned; empty: it is all here.
	Unknown []ClusterUnknown `json:"unknown,omitempty"`
	// Slots are all of them, ascending.
	Slots []ClusterSlot `json:"slots,omitempty"`
}

// ClusterUnknown is what one of the store's servers was asked in vain.
type ClusterUnknown struct {
	// Server is where; empty: there is one only.
	Server string `json:"server,omitempty"`
	// Slots is of how many slots it is not known who has acquired them; 0: it is
	// the nodes' records that could not be read.
	Slots int    `json:"slots,omitempty"`
	Error string `json:"error"`
}

// ClusterNode is a node, and its share.
type ClusterNode struct {
	cluster.Member
	// Uptime is for how long the process has been there, in seconds, by the
	// clocks of its machine and of the one that looks.
	Uptime float64 `json:"uptime_s"`
	// Due is how many slots the node is to serve, Held how many it has
	// acquired and nobody since.
	Due  int `json:"slots_due"`
	Held int `json:"slots_held"`
}

// ClusterSlot is a slot.
type ClusterSlot struct {
	Slot im.Slot `json:"slot"`
	// Due is who is to serve it, Owner who has acquired it last.
	Due   string   `json:"due"`
	Owner string   `json:"owner"`
	Epoch im.Epoch `json:"epoch"`
	// Unknown: it is not known who has acquired it.
	Unknown bool `json:"unknown,omitempty"`
}

// lookPatience is how long each question to the store may take of somebody who
// only looks.
const lookPatience = 3 * time.Second

// LookAtCluster reads what the store that the settings name says. Of what is away
// it says so; there is an error if that is everything.
func LookAtCluster(ctx context.Context, cfg config.Config, log *slog.Logger) (*ClusterView, error) {
	if err := needShared(&cfg); err != nil {
		return nil, err
	}
	st, err := lookAtEngine(ctx, &cfg, log)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	v, err := look(ctx, st, log)
	if err == nil && v.nothing() {
		return nil, im.Errorf(im.Unavailable, "the store does not answer: %s", v.Unknown[0].Error)
	}
	return v, err
}

func needShared(cfg *config.Config) error {
	if cfg.Store == config.StorePebble {
		return im.Errorf(im.Invalid, "only nodes that share a store are a cluster: give its settings, such as --store redis --redis HOST:PORT")
	}
	return nil
}

func openCluster(ctx context.Context, cfg *config.Config, log *slog.Logger) (engine, error) {
	if err := needShared(cfg); err != nil {
		return nil, err
	}
	return openEngine(ctx, cfg, log)
}

// look asks all servers of the store at once. An error is one that waiting does not
// help against.
func look(ctx context.Context, st engine, log *slog.Logger) (*ClusterView, error) {
	parts := store.ByPlace(st, store.AllSlots())
	owners := make([]store.Owner, im.Slots)
	var mu sync.Mutex
	var unknown []ClusterUnknown
	known := make([]bool, im.Slots)
	var asked errgroup.Group
	for server, part := range parts {
		asked.Go(func() error {
			list, err := st.Owners(ctx, part)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				unknown = append(unknown, ClusterUnknown{Server: server, Slots: len(part), Error: err.Error()})
				return fatal(ctx, err)
			}
			for i, slot := range part {
				owners[slot], known[slot] = list[i], true
			}
			return nil
		})
	}
	members, err := cluster.Read(ctx, st, log)
	if err != nil {
		mu.Lock()
		unknown = append(unknown, ClusterUnknown{Error: err.Error()})
		mu.Unlock()
	}
	if err := errors.Join(fatal(ctx, err), asked.Wait()); err != nil {
		return nil, err
	}
	v := viewOf(members, err == nil, owners, known, time.Now())
	slices.SortFunc(unknown, func(a, b ClusterUnknown) int { return cmp.Compare(a.Server, b.Server) })
	v.Unknown = unknown
	return v, nil
}

// fatal is an error unless it says that a part of the store is away.
func fatal(ctx context.Context, err error) error {
	if ctx.Err() == nil && (errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNewer)) {
		return err
	}
	return context.Cause(ctx)
}

// Recorded reports whether the nodes' records are known, and so who is to serve what.
func (v *ClusterView) Recorded() bool {
	return !slices.ContainsFunc(v.Unknown, func(u ClusterUnknown) bool { return u.Slots == 0 })
}

// Only leaves out what is about other slots.
func (v *ClusterView) Only(slot im.Slot) {
	v.Slots = v.Slots[slot:][:1]
	v.Unknown = slices.DeleteFunc(v.Unknown, func(u ClusterUnknown) bool { return u.Slots > 0 && !v.Slots[0].Unknown })
}

// nothing reports whether nothing at all is known.
func (v *ClusterView) nothing() bool {
	return len(v.Unknown) > 0 && len(v.Nodes) == 0 && !slices.ContainsFunc(v.Slots, func(s ClusterSlot) bool { return !s.Unknown })
}

// policyLife is for how long the policy's record stays: nobody refreshes it.
const policyLife = 10 * 365 * 24 * time.Hour

// ChangePolicy changes what an operator wants of the placement. The nodes act on
// it by themselves; watch, which may be nil, is shown how far they are until no
// slot moves any more or ctx ends.
func ChangePolicy(ctx context.Context, cfg config.Config, log *slog.Logger, change func(p *cluster.Policy, nodes []cluster.Member) error, watch func(*ClusterView)) error {
	st, err := openCluster(ctx, &cfg, log)
	if err != nil {
		return err
	}
	defer st.Close()
	members, err := cluster.Read(ctx, st, log)
	if err != nil {
		return err
	}
	policy := cluster.PolicyOf(members)
	if err := change(&policy, cluster.Nodes(members)); err != nil {
		return err
	}
	record, err := policy.Record()
	if err != nil {
		return err
	}
	if err := st.PutMember(ctx, record, policyLife); err != nil || watch == nil {
		return err
	}
	return watchMoves(ctx, st, log, watch)
}

// watchEvery is how often the cluster is looked at while slots move.
const watchEvery = 200 * time.Millisecond

func watchMoves(ctx context.Context, st engine, log *slog.Logger, watch func(*ClusterView)) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		v, err := look(ctx, st, log)
		if err != nil {
			return err
		}
		watch(v)
		if v.Moving == 0 && len(v.Unknown) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if len(v.Unknown) > 0 {
				return im.Errorf(im.Unavailable, "%d slots still move, and something is not known: %s: %w", v.Moving, v.Unknown[0].Error, context.Cause(ctx))
			}
			return im.Errorf(im.Unavailable, "%d slots still move: %w", v.Moving, context.Cause(ctx))
		}
	}
}

// viewOf puts records and owners together, as far as they are known. Without the
// records, the nodes are those that have acquired slots.
func viewOf(members []cluster.Member, recorded bool, owners []store.Owner, known []bool, now time.Time) *ClusterView {
	v := &ClusterView{Policy: cluster.PolicyOf(members)}
	table := cluster.NewTable(members)
	nodes := map[string]*ClusterNode{}
	for _, m := range cluster.Nodes(members) {
		up := now.Sub(time.UnixMilli(int64(m.Started))).Seconds()
		nodes[m.Node] = &ClusterNode{Member: m, Uptime: max(0, up)}
	}
	for slot, owner := range owners {
		s := ClusterSlot{Slot: im.Slot(slot), Owner: owner.Node, Epoch: owner.Epoch, Unknown: !known[slot]}
		if due, ok := table.Owner(s.Slot); ok {
			s.Due = due.Node
			nodes[s.Due].Due++
		}
		if !recorded && s.Owner != "" && nodes[s.Owner] == nil {
			nodes[s.Owner] = &ClusterNode{Member: cluster.Member{Node: s.Owner}}
		}
		if holder := nodes[s.Owner]; holder != nil {
			holder.Held++
		}
		if recorded && !s.Unknown && (s.Due == "" || s.Due != s.Owner) {
			v.Moving++
		}
		v.Slots = append(v.Slots, s)
	}
	for _, n := range nodes {
		v.Nodes = append(v.Nodes, *n)
	}
	slices.SortFunc(v.Nodes, func(a, b ClusterNode) int { return cmp.Compare(a.Node, b.Node) })
	return v
}

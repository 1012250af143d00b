package node

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// ClusterView is what the shared store says of the nodes and their slots.
type ClusterView struct {
	// Nodes by name.
	Nodes []ClusterNode `json:"nodes"`
	// Moving is how many slots are not with the node that is to serve them;
	// those that nobody is to serve are among them.
	Moving int `json:"moving"`
	// Policy is what the operator wants of the placement.
	Policy cluster.Policy `json:"policy"`
	// Slots are all of them, ascending.
	Slots []ClusterSlot `json:"slots,omitempty"`
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
}

// LookAtCluster reads what the store that the settings name says.
func LookAtCluster(ctx context.Context, cfg config.Config, log *slog.Logger) (*ClusterView, error) {
	st, err := openCluster(ctx, &cfg, log)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	return look(ctx, st, log)
}

func openCluster(ctx context.Context, cfg *config.Config, log *slog.Logger) (engine, error) {
	if cfg.Store == config.StorePebble {
		return nil, im.Errorf(im.Invalid, "only nodes that share a store are a cluster: give its settings, such as --store redis --redis HOST:PORT")
	}
	return openEngine(ctx, cfg, log)
}

func look(ctx context.Context, st engine, log *slog.Logger) (*ClusterView, error) {
	members, err := cluster.Read(ctx, st, log)
	if err != nil {
		return nil, err
	}
	all := make([]im.Slot, im.Slots)
	for i := range all {
		all[i] = im.Slot(i)
	}
	owners, err := st.Owners(ctx, all)
	if err != nil {
		return nil, err
	}
	return viewOf(members, owners, time.Now()), nil
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
		if v.Moving == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return im.Errorf(im.Unavailable, "%d slots still move: %w", v.Moving, context.Cause(ctx))
		}
	}
}

// viewOf puts records and owners together.
func viewOf(members []cluster.Member, owners []store.Owner, now time.Time) *ClusterView {
	v := &ClusterView{Policy: cluster.PolicyOf(members)}
	table := cluster.NewTable(members)
	nodes := map[string]*ClusterNode{}
	for _, m := range cluster.Nodes(members) {
		up := now.Sub(time.UnixMilli(int64(m.Started))).Seconds()
		nodes[m.Node] = &ClusterNode{Member: m, Uptime: max(0, up)}
	}
	for slot, owner := range owners {
		s := ClusterSlot{Slot: im.Slot(slot), Owner: owner.Node, Epoch: owner.Epoch}
		if due, ok := table.Owner(s.Slot); ok {
			s.Due = due.Node
			nodes[s.Due].Due++
		}
		if holder := nodes[s.Owner]; holder != nil {
			holder.Held++
		}
		if s.Due == "" || s.Due != s.Owner {
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

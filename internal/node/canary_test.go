package node

import (
	"slices"
	"testing"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/config"
)

// Clients are sent away when the canary changes or there is somewhere to go, not
// whenever a record does; and nowhere but to gateways that are up and of the other
// kind.
func TestResettling(t *testing.T) {
	n := newNode(config.Config{VersionLabel: "1"}, Options{Version: "dev"})
	canary := cluster.Canary{Version: "2", Percent: 10}
	members := []cluster.Member{
		{Node: "a", State: cluster.Up, Version: "1", Link: "a:1"}, {Node: "b", State: cluster.Up, Version: "2", Link: "b:1"},
		{Node: "c", State: cluster.Draining, Version: "2", Link: "c:1"}, {Node: "d", State: cluster.Up, Version: "2"},
	}
	if got := n.otherGateways(members, canary); !slices.Equal(got, []string{"b:1"}) {
		t.Errorf("of version 1, they are sent to %v", got)
	}
	n.cfg.VersionLabel = "2"
	if got := n.otherGateways(members, canary); !slices.Equal(got, []string{"a:1"}) {
		t.Errorf("of version 2, they are sent to %v", got)
	}
	if got := n.otherGateways(members, cluster.Canary{}); got != nil {
		t.Errorf("without a canary, they are sent to %v", got)
	}
	r := &n.resettling
	if r.begin(canary, true) != nil {
		t.Error("it begins before there are links")
	}
	r.allow()
	first := r.begin(canary, true)
	if first == nil || r.begin(canary, true) != nil {
		t.Error("it does not begin once")
	}
	canary.Percent = 0
	if second := r.begin(canary, true); second == nil || first.Err() == nil {
		t.Error("a change does not end what was under way")
	}
	if r.begin(canary, false) != nil || r.begin(canary, true) == nil {
		t.Error("it does not begin when there is somewhere to go again")
	}
	r.end()
	if r.begin(cluster.Canary{Version: "3"}, true) != nil {
		t.Error("it begins when the node stops")
	}
}

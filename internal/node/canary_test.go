package node

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

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
	r, there := &n.resettling, []string{"a:1"}
	if r.begin(canary, there) != nil {
		t.Error("it begins before there are links")
	}
	r.allow()
	first := r.begin(canary, there)
	if first == nil || r.begin(canary, []string{"a:1", "e:1"}) != nil {
		t.Error("it does not begin once")
	}
	if !slices.Equal(r.where(), []string{"a:1", "e:1"}) {
		t.Errorf("those who are sent away again go to %v", r.where())
	}
	canary.Percent = 0
	if second := r.begin(canary, there); second == nil || first.Err() == nil {
		t.Error("a change does not end what was under way")
	}
	if r.begin(canary, nil) != nil || r.begin(canary, there) == nil {
		t.Error("it does not begin when there is somewhere to go again")
	}
	r.end()
	if r.begin(cluster.Canary{Version: "3"}, there) != nil {
		t.Error("it begins when the node stops")
	}
}

// Clients that were refused where they were sent come back; they are sent there
// again, less and less often.
func TestResettlingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		var at []time.Duration
		againAndAgain(ctx, func() { at = append(at, time.Since(began)) })
		if want := []time.Duration{0, againAfter, 3 * againAfter, 7 * againAfter}; !slices.Equal(at[:4], want) {
			t.Errorf("it is done at %v", at)
		}
		if last := at[len(at)-1] - at[len(at)-2]; last != againMost {
			t.Errorf("the last pause was %v", last)
		}
		if took := time.Since(began); took != time.Hour {
			t.Errorf("it ends after %v", took)
		}
	})
}

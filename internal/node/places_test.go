package node

import (
	"reflect"
	"testing"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/relay"
)

// Clients of other regions are sent to the gateways among the nodes, unless the
// settings say where else.
func TestPlaces(t *testing.T) {
	members := []cluster.Member{
		{Node: "g2", State: cluster.Up, Link: "b:7001", HTTP: "b:7080", TLS: true},
		{Node: "g1", State: cluster.Up, Link: "a:7001", HTTP: "a:7080"},
		{Node: "gone", State: cluster.Draining, Link: "c:7001"},
		{Node: "m", State: cluster.Up, Roles: "m:7002"},
		{Node: "service", State: cluster.Up, Link: "d:7001", Service: "x/1"},
	}
	gateways := relay.Places{Links: []string{"a:7001", "b:7001"}, HTTP: []string{"http://a:7080", "https://b:7080"}, Alike: true}
	for what, c := range map[string]struct {
		role   Role
		shared bool
		cfg    config.Config
		want   relay.Places
	}{
		"nodes":            {Relay, true, config.Config{}, gateways},
		"nodes, links set": {Mailbox, true, config.Config{RegionLinks: "tls://x:1,y:2"}, relay.Places{Links: []string{"tls://x:1", "y:2"}, HTTP: gateways.HTTP}},
		"one process":      {Serve, false, config.Config{Link: "e:1", HTTP: "e:2", TLSCert: "c"}, relay.Places{Links: []string{"e:1"}, HTTP: []string{"https://e:2"}}},
		"everywhere":       {Serve, false, config.Config{Link: "0.0.0.0:1", HTTP: ":2"}, relay.Places{}},
		"a mailbox":        {Mailbox, false, config.Config{Link: "e:1", HTTP: "e:2"}, relay.Places{}},
		"one process, set": {Serve, false, config.Config{Link: "e:1", HTTP: "e:2", RegionHTTP: "https://f"}, relay.Places{Links: []string{"e:1"}, HTTP: []string{"https://f"}}},
	} {
		n := &Node{cfg: c.cfg, opts: Options{Role: c.role}}
		if c.shared {
			n.shared = &shared{}
		}
		if got := n.places(members); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v instead of %+v", what, got, c.want)
		}
	}
}

// Clients begin with different ones of alike addresses, and with the first of others.
func TestSpread(t *testing.T) {
	var reach im.Reach
	places := (&Node{}).spread(func(im.Region) im.Reach { return reach })
	firsts := func() int {
		seen := map[string]bool{}
		for range 6 {
			links, http := places("west")
			if len(links) != len(reach.Links) || len(http) != len(reach.HTTP) {
				t.Fatalf("%v and %v of %+v", links, http, reach)
			}
			for _, l := range links[:min(1, len(links))] {
				seen[l] = true
			}
		}
		return len(seen)
	}
	if n := firsts(); n != 0 {
		t.Errorf("%d addresses of none", n)
	}
	reach = im.Reach{Links: []string{"a", "b", "c"}, HTTP: []string{"http://a"}}
	if n := firsts(); n != 1 {
		t.Errorf("%d come first", n)
	}
	reach.Alike = true
	if n := firsts(); n != 3 {
		t.Errorf("of alike ones, %d come first", n)
	}
}

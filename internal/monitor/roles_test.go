package monitor

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges are what a process exports.
type gauges map[string]prometheus.Gauge

// process is one of some role that exports gauges, which are 0; region is a label
// where there has to be one.
func process(name, region string, metrics ...string) (Target, gauges) {
	r, g := prometheus.NewRegistry(), gauges{}
	for _, metric := range metrics {
		opts := prometheus.GaugeOpts{Name: metric, Help: "x"}
		if metric == metricRelayUp {
			opts.ConstLabels = prometheus.Labels{"region": region}
		}
		g[metric] = prometheus.NewGauge(opts)
		r.MustRegister(g[metric])
	}
	return Target{Name: name, URL: "http://" + name, Gather: r.Gather}, g
}

// A process is known by what it exports, whatever labels that has.
func TestRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := map[string]string{
			"a-gateway": metricSessions, "b-mailbox": metricCommands, "c-relay": metricRelayUp, "d-router": metricRouterGateways, "e-standby": metricCopyNodes,
		}
		var targets Static
		for name, metric := range want {
			target, _ := process(name, "west", metric)
			targets = append(targets, target)
		}
		other, _ := process("f-other", "", "skein_relay_upright")
		m := start(t, Config{Targets: append(targets, other)})
		defer stop(t, m)
		seconds(3)
		for _, n := range m.State().Nodes {
			var roles []string
			if n.Name != "f-other" {
				roles = []string{n.Name[2:]}
			}
			if !slices.Equal(n.Roles, roles) {
				t.Errorf("%s has the roles %q", n.Name, n.Roles)
			}
		}
	})
}

// A region is out of reach when none of several relays is connected with it, or
// when mailboxes have no relay at all.
func TestRegionsOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		relay1, first := process("relay-1", "west", metricRelayUp)
		relay2, second := process("relay-2", "west", metricRelayUp)
		mailbox, its := process("mailbox", "", metricUplinkCutOff, metricBehind)
		m := start(t, Config{Targets: Static{relay1, relay2, mailbox}})
		defer stop(t, m)
		firing := func(want ...string) {
			t.Helper()
			var got []string
			for _, a := range m.State().Alerts {
				got = append(got, a.Rule+" "+a.Subject)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("there are the alerts %q, not %q", got, want)
			}
		}
		first[metricRelayUp].Set(1)
		seconds(60)
		firing()
		first[metricRelayUp].Set(0)
		its[metricUplinkCutOff].Set(1)
		seconds(60)
		firing("region west")
		second[metricRelayUp].Set(1)
		its[metricBehind].Set(40)
		seconds(60)
		firing("region ", "standby ")
		its[metricUplinkCutOff].Set(0)
		its[metricBehind].Set(1)
		seconds(60)
		firing()
	})
}

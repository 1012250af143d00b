package monitor

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
)

// process is one of some role that exports gauges.
func process(name string, gauges map[string]*float64, region string) Target {
	r := prometheus.NewRegistry()
	for metric, v := range gauges {
		opts := prometheus.GaugeOpts{Name: metric, Help: "x"}
		if metric == metricRelayUp {
			opts.ConstLabels = prometheus.Labels{"region": region}
		}
		r.MustRegister(prometheus.NewGaugeFunc(opts, func() float64 { return *v }))
	}
	return Target{Name: name, URL: "http://" + name, Gather: r.Gather}
}

// A process is known by what it exports, whatever labels that has.
func TestRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := 1.0
		want := map[string]string{
			"a-gateway": metricSessions, "b-mailbox": metricCommands, "c-relay": metricRelayUp, "d-router": metricRouterGateways, "e-standby": metricCopyNodes,
		}
		var targets Static
		for name, metric := range want {
			targets = append(targets, process(name, map[string]*float64{metric: &one}, "west"))
		}
		targets = append(targets, process("f-other", map[string]*float64{"skein_relay_upright": &one}, ""))
		m := start(t, Config{Targets: targets})
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
		first, second, cut, behind := 1.0, 0.0, 0.0, 0.0
		m := start(t, Config{Targets: Static{
			process("relay-1", map[string]*float64{metricRelayUp: &first}, "west"),
			process("relay-2", map[string]*float64{metricRelayUp: &second}, "west"),
			process("mailbox", map[string]*float64{metricUplinkCutOff: &cut, metricBehind: &behind}, ""),
		}})
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
		seconds(60)
		firing()
		first, cut = 0, 1
		seconds(60)
		firing("region west")
		second, behind = 1, 40
		seconds(60)
		firing("region ", "standby ")
		cut, behind = 0, 1
		seconds(60)
		firing()
	})
}

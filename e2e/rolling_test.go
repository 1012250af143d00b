package e2e

import (
	"fmt"
	"testing"
)

// TestRollingRestart restarts everything in the middle of a chat, one process
// after the other, as for an upgrade of all of it: mailbox nodes, the servers of
// the Redis Cluster that all share, routers, gateways with their workers.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	c, servers := newClusterNodes(t, 1)
	// links of the two gateways, of which each sends its clients to the other.
	links := []string{freeAddr(t), freeAddr(t)}
	gateway := func(i int) *server {
		return startNode(t, c.args("gateway", fmt.Sprint("gate", i), "--link", links[i], "--http", freeAddr(t),
			"--reconnect-to", links[1-i], "--workers", "2")...)
	}
	router := func(i int) *server { return startNode(t, c.args("router", fmt.Sprint("router", i))...) }
	boxes := []*server{c.mailbox("one"), c.mailbox("two")}
	gates, routers := []*server{gateway(0), gateway(1)}, []*server{router(0), router(1)}
	x := &trial{nodes: c, one: boxes[0], two: boxes[1], gate: gates[0]}
	const all = 6
	c.await("the nodes share the slots", settled(all))
	x.chat(untilJudged)

	for i, name := range []string{"one", "two"} {
		boxes[i].stop(t)
		c.mailbox(name)
		c.await("the restarted node serves its share", func(st status) bool { return settled(all)(st) && x.share(st, name) > 0 })
		x.lasts(0)
	}
	for _, s := range servers.Servers {
		if err := servers.RestartInOrder(testContext(t), s); err != nil {
			t.Fatal(err)
		}
		between(t, x.finished, x.verdict)
	}
	for i, s := range routers {
		s.stop(t)
		askRouter(t, routers[1-i], "/v1/addresses?n=9", "the other router knows the gateways", leads(gates...))
		routers[i] = router(i)
	}
	if n := metric(t, gates[0], "skein_gateway_logins_total"); n != 100 {
		t.Errorf("%v logins before any gateway was restarted; no link should have broken", n)
	}
	for i, s := range gates {
		askRouter(t, routers[0], "/v1/addresses?n=9", "both gateways are named", leads(gates...))
		s.stop(t)
		for metric(t, gates[1-i], "skein_gateway_sessions") < 100 {
			between(t, x.finished, x.verdict)
		}
		gates[i] = gateway(i)
	}
	r := x.verdict()
	r.check(t)
	ack, delivery := r.waits()
	t.Logf("%d messages: the longest wait for an ack was %v, for a delivery %v", r.Sent, ack, delivery)
	// Everybody was at the first gateway, then at the second, then at the first again.
	if r.Reconnects < 200 {
		t.Errorf("%d links were opened again", r.Reconnects)
	}
}

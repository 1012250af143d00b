package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/skein-im/skein/internal/patience"
)

// heldBy is how many slots a node has.
func heldBy(st status, node string) int {
	for _, n := range st.Nodes {
		if n.Node == node {
			return n.Held
		}
	}
	return 0
}

// cluster runs a skein cluster command to its end, and returns what it says of
// the nodes. As in await, a store that does not answer for a moment is asked again.
func (c *nodes) cluster(args ...string) (st status) {
	c.t.Helper()
	all := append(append([]string{"cluster"}, args...), append([]string{"--json", "--wait", patience.Limit.String()}, c.shared...)...)
	var out string
	var err error
	patience.Until(c.t, "the store answers", func() (bool, any) {
		out, err = run(c.t, "", all...)
		return !storeIsSlow(err), err
	})
	if err == nil {
		err = json.Unmarshal([]byte(out), &st)
	}
	if err != nil {
		c.t.Fatalf("%v: %v", args, err)
	}
	if st.Moving != 0 {
		c.t.Fatalf("%v: %d slots are still moving", args, st.Moving)
	}
	return st
}

// TestCanary gives a new version more and more users in the middle of a chat,
// takes them back, and puts slots elsewhere by hand: no link breaks, and every
// message arrives once and in order.
func TestCanary(t *testing.T) {
	t.Parallel()
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	old, canary := c.mailbox("old", "--version-label", "1"), c.mailbox("new", "--version-label", "2")
	c.cluster("canary", "2", "0")
	g := c.gateway()
	_, verdict := longChat(t, g, 50, "--friends", "10", "--rate", "200")
	if n := heldBy(c.status(), "new"); n != 0 {
		t.Errorf("without a share, the new version has %d slots", n)
	}
	for _, step := range []struct {
		percent     string
		least, most int
	}{{"10", 300, 520}, {"60", 2250, 2650}, {"100", 4096, 4096}, {"0", 0, 0}} {
		if n := heldBy(c.cluster("canary", "2", step.percent), "new"); n < step.least || n > step.most {
			t.Errorf("at %s%% the new version has %d slots", step.percent, n)
		}
	}
	if n := heldBy(c.cluster("move-slots", "0-99", "new"), "new"); n != 100 {
		t.Errorf("100 slots were put on the new node, and it has %d", n)
	}
	if n := heldBy(c.cluster("move-slots", "50-99", "--release"), "new"); n != 50 {
		t.Errorf("50 slots were to stay on the new node, and it has %d", n)
	}
	c.cluster("canary", "--off")
	r := verdict()
	r.check(t)
	if r.Reconnects > 0 {
		t.Errorf("%d links broke", r.Reconnects)
	}
	if _, err := run(t, "", append([]string{"cluster", "canary", "3", "10"}, c.shared...)...); err == nil {
		t.Error("a canary of which there is no node is taken")
	}
	g.stop(t)
	old.stop(t)
	canary.stop(t)
}

// TestCanaryGateways gives a new version's gateway more and more of the clients of an
// old one, and takes them back at once. Each goes where its user belongs and nowhere
// else; every message arrives once and in order.
func TestCanaryGateways(t *testing.T) {
	t.Parallel()
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	c.mailbox("box1", "--version-label", "1")
	c.mailbox("box2", "--version-label", "2")
	c.cluster("canary", "2", "0")
	old := startNode(t, c.args("gateway", "gate1", "--version-label", "1", "--workers", "2")...)
	canary := startNode(t, c.args("gateway", "gate2", "--version-label", "2")...)
	way := startNode(t, c.args("router", "way")...)
	askRouter(t, way, "/v1/addresses?n=9", "both gateways are named", leads(old, canary))
	const users = 100
	finished, verdict := longChat(t, old, users, "--friends", "10", "--rate", "200")
	moved := 0.0
	for _, percent := range []string{"10", "50", "100", "0"} {
		c.cluster("canary", "2", percent)
		want := 0.0
		patience.Until(t, "the canary's clients are at its gateway", func() (bool, any) {
			want = float64(includedBy(t, way, users))
			here, there := metric(t, old, "skein_gateway_sessions"), metric(t, canary, "skein_gateway_sessions")
			return there == want && here == users-want, [3]float64{here, there, want}
		})
		between(t, finished, verdict)
		moved = max(moved, want)
	}
	if moved != users {
		t.Errorf("at 100%%, %v users are the canary's", moved)
	}
	out, err := run(t, "", append([]string{"cluster", "status"}, c.shared...)...)
	if err != nil || !regexp.MustCompile(`(?m)^gate2 +gateway +2 +up `).MatchString(out) || !regexp.MustCompile(`(?m)^box1 +mailbox +1 +up +4096 `).MatchString(out) {
		t.Errorf("%v: the status is\n%s", err, out)
	}
	c.cluster("canary", "--off")
	r := verdict()
	r.check(t)
	// Once there, and once back; more often if one is not let in at once where it is sent.
	if sent := sentAway(t, old, canary); r.Reconnects < 2*users || r.Reconnects > sent {
		t.Errorf("%d links were opened again, and %d clients sent away", r.Reconnects, sent)
	}
}

// sentAway is how many clients gateways say they have sent to others.
func sentAway(t *testing.T, gateways ...*server) (sum int) {
	t.Helper()
	for _, g := range gateways {
		for _, m := range regexp.MustCompile(`sent to gateways of the version.*"clients":(\d+)`).FindAllStringSubmatch(g.logs.String(), -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// includedBy is how many of bench's users a router sends to the canary's gateway first.
func includedBy(t *testing.T, way *server, users int) (n int) {
	t.Helper()
	for user := 1; user <= users; user++ {
		_, body := get(web, fmt.Sprintf("http://%s/v1/addresses?user=%d&n=1", way.Router, user))
		var answer routed
		if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Addresses) != 1 {
			t.Fatalf("user %d: %s", user, body)
		}
		if answer.Addresses[0].Version == "2" {
			n++
		}
	}
	return n
}

package e2e

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/skein-im/skein/client"
)

// Money comes in, goes to a friend in an envelope, into a campaign and to who
// shakes, in every shape.
func TestMoney(t *testing.T) { inEveryShape(t, money) }

func money(t *testing.T, s *server) {
	w := &world{server: s, http: "http://" + s.HTTP}
	ann, bob := newUser(t, w, "ann"), newUser(t, w, "bob")
	ac, bc := ann.dial(t, "tcp://"+s.Link, ann.token), bob.dial(t, "tcp://"+s.Link, bob.token)
	makeFriends(t, ann, bob, ac, bc)
	operator := func(args ...string) string {
		t.Helper()
		out, err := run(t, "", append(args, "--token-file", filepath.Join(s.Data, "operator.token"))...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	number := func(u *user) string { return strconv.FormatUint(uint64(u.id), 10) }
	for range 2 {
		operator("wallet", "top-up", s.HTTP, number(ann), "10000", "--reference", "first")
	}
	wantMoney(t, ac, client.ToppedUp, 10000)

	sent, err := ac.SendEnvelope(testContext(t), client.NewKey(), client.Envelope{To: []client.UserID{bob.id}, Total: 300, Shares: 1, Greeting: "good luck"})
	if err != nil {
		t.Fatal(err)
	}
	wantMoney(t, ac, client.EnvelopeSent, -300)
	e := wantMoney(t, bc, client.EnvelopeReceived, 0)
	if e.Money.Ref != sent.Envelope || e.Peer != ann.id || string(e.Content.Body) != "good luck" {
		t.Fatalf("bob got %+v", e)
	}
	for range 2 {
		if cents, err := bc.OpenEnvelope(testContext(t), sent.Envelope); err != nil || cents != 300 {
			t.Fatalf("bob opens it: %d %v", cents, err)
		}
	}
	wantMoney(t, bc, client.EnvelopeOpened, 300)

	out := operator("campaign", "create", s.HTTP, "--sponsor", number(ann), "--total", "1000", "--count", "10", "--rate", "50", "--limit", "1")
	id := regexp.MustCompile(`Campaign (\d+)`).FindStringSubmatch(out)
	if id == nil {
		t.Fatalf("campaign create says %q", out)
	}
	campaign, err := strconv.ParseUint(id[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	won, err := bc.Shake(testContext(t), campaign)
	for ; err == nil && won.ShakeOutcome == client.ShakeNothing || client.KindOf(err) == client.Busy || won.ShakeOutcome == client.ShakeClosed; won, err = bc.Shake(testContext(t), campaign) {
	}
	if err != nil || won.ShakeOutcome != client.ShakeWon || won.Cents != 100 {
		t.Fatalf("bob shakes: %+v %v", won, err)
	}
	wantMoney(t, bc, client.CampaignWon, 100)
	if balance, err := bc.Balance(testContext(t)); err != nil || balance != 400 {
		t.Fatalf("bob has %d, %v", balance, err)
	}
}

// wantMoney is the next entry about money, which must be this.
func wantMoney(t *testing.T, c *client.Client, event client.MoneyEvent, cents client.Cents) client.Entry {
	t.Helper()
	for {
		e := next(t, c, client.MoneyStep)
		if e.Money.Event == client.CampaignFunded {
			continue
		}
		if e.Money.Event != event || e.Money.Cents != cents {
			t.Fatalf("got %+v, not event %d with %d cents", e.Money, event, cents)
		}
		return e
	}
}

// After a crash in the middle of it all, the audit finds every cent.
func TestAuditAfterCrash(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	w := &world{server: s, http: "http://" + s.HTTP}
	ann, bob := newUser(t, w, "ann"), newUser(t, w, "bob")
	ac, bc := ann.dial(t, "tcp://"+s.Link, ann.token), bob.dial(t, "tcp://"+s.Link, bob.token)
	makeFriends(t, ann, bob, ac, bc)
	if _, err := run(t, "", "wallet", "top-up", s.HTTP, strconv.FormatUint(uint64(ann.id), 10), "5000", "--reference", "r",
		"--token-file", filepath.Join(data, "operator.token")); err != nil {
		t.Fatal(err)
	}
	wantMoney(t, ac, client.ToppedUp, 5000)
	for range 20 {
		if _, err := ac.SendEnvelope(testContext(t), client.NewKey(), client.Envelope{To: []client.UserID{bob.id}, Total: 7, Shares: 2}); err != nil {
			t.Fatal(err)
		}
	}
	e := wantMoney(t, bc, client.EnvelopeReceived, 0)
	if _, err := bc.OpenEnvelope(testContext(t), e.Money.Ref); err != nil {
		t.Fatal(err)
	}
	s.kill()
	out, err := run(t, "", "audit", "--data", data)
	if err != nil || !strings.Contains(out, "Every cent is accounted for.") || !strings.Contains(out, "came in                          5000 cents") {
		t.Fatalf("the audit says %q, %v", out, err)
	}
}

// Over a shared store the audit wants nobody to be there who has mailboxes; of
// one that died it waits for the record to expire.
func TestAuditOfASharedStore(t *testing.T) {
	t.Parallel()
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	m := c.mailbox("m")
	g := c.gateway()
	w := &world{server: g, http: "http://" + g.HTTP}
	ann := newUser(t, w, "ann")
	ac := ann.dial(t, "tcp://"+g.Link, ann.token)
	if _, err := run(t, "", "wallet", "top-up", g.HTTP, "ann", "5000", "--reference", "r", "--token-file", filepath.Join(g.Data, "operator.token")); err != nil {
		t.Fatal(err)
	}
	wantMoney(t, ac, client.ToppedUp, 5000)
	args := append([]string{"audit"}, c.shared...)
	if out, err := run(t, "", args...); err == nil || !strings.Contains(err.Error(), "node m is there") {
		t.Fatalf("the audit of a store in use says %q, %v", out, err)
	}
	m.kill()
	g.kill()
	c.await("the mailbox is forgotten", func(st status) bool { return len(st.Nodes) == 0 })
	out, err := run(t, "", args...)
	if err != nil || !strings.Contains(out, "Every cent is accounted for.") || !strings.Contains(out, "came in                          5000 cents") {
		t.Fatalf("the audit says %q, %v", out, err)
	}
}

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
// shakes.
func TestMoney(t *testing.T) { inBothShapes(t, setup{}, money) }

func money(t *testing.T, s *product) {
	w := s.world()
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

// After a crash in the middle of it all, the audit finds every cent. Before, while
// mailboxes are served, it refuses to look.
func TestAuditAfterCrash(t *testing.T) { inBothShapes(t, setup{}, auditAfterCrash) }

func auditAfterCrash(t *testing.T, s *product) {
	w := s.world()
	ann, bob := newUser(t, w, "ann"), newUser(t, w, "bob")
	ac, bc := ann.dial(t, "tcp://"+s.Link, ann.token), bob.dial(t, "tcp://"+s.Link, bob.token)
	makeFriends(t, ann, bob, ac, bc)
	if _, err := run(t, "", "wallet", "top-up", s.HTTP, "ann", "5000", "--reference", "r",
		"--token-file", filepath.Join(s.Data, "operator.token")); err != nil {
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
	refusal := "in use by another process"
	if s.shared != nil {
		refusal = "is there: stop all nodes"
	}
	if out, err := run(t, "", append([]string{"audit"}, s.store...)...); err == nil || !strings.Contains(err.Error(), refusal) {
		t.Fatalf("the audit of a store in use says %q, %v", out, err)
	}
	s.kill()
	out, err := s.audit()
	if err != nil || !strings.Contains(out, "Every cent is accounted for.") || !strings.Contains(out, "came in                          5000 cents") {
		t.Fatalf("the audit says %q, %v", out, err)
	}
}

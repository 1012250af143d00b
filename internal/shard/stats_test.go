package shard

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Every command there is has its operation.
func TestEveryCommandHasAnOp(t *testing.T) {
	ops, err := os.ReadFile("ops.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("..", "im", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func \(\*(\w+)\) command\(\)`).FindAllStringSubmatch(string(src), -1) {
			found++
			if !regexp.MustCompile(`\*im\.` + m[1] + `\b`).Match(ops) {
				t.Errorf("%s has no operation; add it to OpOf", m[1])
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d commands were found", found)
	}
	for op, name := range opNames {
		if name == "" || strings.ContainsAny(name, " -") {
			t.Errorf("operation %d is called %q", op, name)
		}
	}
}

// Commands are measured from their submission to their answer, after the
// commit, and counted by how they end.
func TestCommandsAreMeasured(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.core.Stats = Stats{}
	submit := func(cmd im.Command) {
		h.core.Handle(h.now, Input{To: im.User(1), Cmd: cmd, Queued: h.now - 7})
	}
	submit(&im.SendNumbered{To: 2, SendID: 1, Content: text("hello")})
	submit(&im.SendNumbered{To: 9, SendID: 2, Content: text("hello")})
	b := h.cut()
	h.now += 40
	h.apply(b)
	h.core.Done(h.now, b, nil)
	submit(&im.Counters{})
	st := &h.core.Stats
	if c := st.Took[OpSend]; c.Total() != 2 || c.Sum != uint64(2*47*time.Millisecond) {
		t.Errorf("sends took %+v", c)
	}
	if c := st.Took[OpRead]; c.Total() != 1 || c.Sum != uint64(7*time.Millisecond) {
		t.Errorf("reads took %+v", c)
	}
	if c := st.Queueing; c.Total() != 3 || c.Sum != uint64(3*7*time.Millisecond) {
		t.Errorf("they waited %+v", c)
	}
	if st.Errors[im.NotContact] != 1 {
		t.Errorf("errors %v", st.Errors)
	}
	if c := st.BatchSize; c.Total() != 1 || c.Sum != 1 {
		t.Errorf("batches %+v", c)
	}
}

// The age of an unacknowledged message is known from when it is sent again, and
// what is owed is counted until it is acknowledged, or forgotten.
func TestOutboxIsMeasured(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.do("send", im.User(1), &im.SendNumbered{To: 2, SendID: 1, Content: text("hello")})
	h.commit()
	if n := h.core.Stats.Owed; n != 1 {
		t.Fatalf("%d are owed", n)
	}
	if age := h.core.outbox.oldest(h.now); age != 0 {
		t.Fatalf("the outbox is %v old", age)
	}
	sent := h.now
	for h.now < sent+50_000 {
		h.now = h.core.NextTick()
		h.core.Tick(h.now)
		for _, r := range h.resends {
			h.core.EntriesRead(h.now, r.addr, r.peer, nil)
		}
		h.resends = nil
	}
	if age := h.core.outbox.oldest(h.now); age < 20*time.Second || age > duration(h.now-sent) {
		t.Errorf("the outbox is %v old after %d ms", age, h.now-sent)
	}
	trips := h.core.Stats.LinkTrip.Total()
	h.core.Handle(h.now, Input{To: im.User(1), Msg: &entity.Message{From: im.User(2), To: im.User(1), Ack: 1}})
	if n := h.core.Stats.Owed; n != 0 {
		t.Errorf("%d are owed after the ack", n)
	}
	if n := h.core.Stats.LinkTrip.Total(); n != trips+1 {
		t.Errorf("%d acks were measured", n-trips)
	}
	if age := h.core.outbox.oldest(h.now + 2*outboxWindow); age != 0 {
		t.Errorf("the outbox is still %v old", age)
	}
}

// Repeated commands about money do not count.
func TestMoneyIsCountedOnce(t *testing.T) {
	var st MoneyStats
	for _, res := range []im.Result{
		&im.EnvelopeCreated{}, &im.Opened{}, &im.CampaignCreated{}, &im.Leases{Leases: make([]im.Lease, 3)},
		&im.Claimed{Outcome: im.ClaimWon}, &im.Claimed{}, &im.PaymentInfo{State: im.PaymentToppedUp}, &im.PaymentInfo{State: im.PaymentPaid}, &im.Withdrawal{},
	} {
		st.count(res)
	}
	if st != (MoneyStats{Envelopes: 1, Opened: 1, Campaigns: 1, Leased: 3, Won: 1, TopUps: 1, Withdrawals: 1}) {
		t.Errorf("%+v", st)
	}
	h := newHarness(t)
	top := &im.TopUp{Reference: "r", User: 1, Cents: 5}
	for range 3 {
		h.do("top up", im.Payment(im.TopUpOf(top.Reference)), top)
		h.load()
		h.commit()
	}
	if n := h.core.Stats.Money.TopUps; n != 1 {
		t.Errorf("%d top-ups were counted", n)
	}
}

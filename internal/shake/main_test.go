package shake

import (
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skein-im/skein/internal/im"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const party im.CampaignID = 77

// asked is a command that reached the mailbox.
type asked struct {
	to   im.Addr
	cmd  im.Command
	done im.Completion
}

// rig is a desk in front of a mailbox that a test plays.
type rig struct {
	t testing.TB
	*clock
	desk  *Desk
	asked []asked
	im.Mailbox
	lease im.LeaseID
}

// Submit implements im.Mailbox.
func (r *rig) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	r.asked = append(r.asked, asked{to, cmd, done})
}

func newRig(t testing.TB, tune func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, clock: newClock()}
	cfg := Config{Mailbox: r, Logger: slog.New(slog.DiscardHandler), Sets: 1, Now: r.Now, After: r.After, Rand: func(n int64) int64 { return n / 2 }}
	if tune != nil {
		tune(&cfg)
	}
	var err error
	if r.desk, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return r
}

// take is the next command, which must be a T.
func take[T im.Command](r *rig) (asked, T) {
	r.t.Helper()
	if len(r.asked) == 0 {
		r.t.Fatalf("no command; want a %T", *new(T))
	}
	a := r.asked[0]
	r.asked = r.asked[1:]
	cmd, ok := a.cmd.(T)
	if !ok {
		r.t.Fatalf("the mailbox is asked %T %+v, want a %T", a.cmd, a.cmd, cmd)
	}
	return a, cmd
}

func (r *rig) quiet() {
	r.t.Helper()
	if len(r.asked) > 0 {
		r.t.Fatalf("the mailbox is asked %T %+v", r.asked[0].cmd, r.asked[0].cmd)
	}
}

// answer is what became of a shake.
type answer struct {
	im.Shaken
	n int
}

func (r *rig) shake(user im.UserID) *answer {
	a := &answer{}
	r.desk.Shake(user, party, func(out im.Shaken) { a.Shaken, a.n = out, a.n+1 })
	return a
}

func (r *rig) want(a *answer, out im.ShakeOutcome) {
	r.t.Helper()
	if n := min(int(out), 1); a.n != n || a.Outcome != out {
		r.t.Fatalf("answered %d times, %+v; want %d", a.n, a.Shaken, out)
	}
}

const none im.ShakeOutcome = 0

// renew answers a renewal with n leases for the first SET, of 2 s.
func (r *rig) renew(n int) *im.RenewSets {
	r.t.Helper()
	a, cmd := take[*im.RenewSets](r)
	l := &im.Leases{Now: 5000, Start: 4000, End: 60_000}
	for range n {
		r.lease++
		l.Leases = append(l.Leases, im.Lease{ID: r.lease, Set: cmd.Sets[0].Set, Cents: 10, Expires: 7000})
	}
	a.done.Complete(a.cmd, l, nil)
	return cmd
}

// claimed answers a claim.
func (a asked) claimed(out im.ClaimOutcome) {
	c := &im.Claimed{Outcome: out}
	if out == im.ClaimWon {
		c.Cents = 10
	}
	a.done.Complete(a.cmd, c, nil)
}

func (a asked) failed(kind im.ErrorKind) {
	a.done.Complete(a.cmd, nil, im.Errorf(kind, "simulated"))
}

// opened is a desk whose campaign has n leases in the queue.
func opened(t testing.TB, n int, tune func(*Config)) *rig {
	t.Helper()
	r := newRig(t, tune)
	a := r.shake(1)
	r.want(a, none)
	r.renew(0)
	r.want(a, im.ShakeNothing)
	r.advance(r.desk.cfg.Pace)
	r.renew(n)
	return r
}

// balanced checks that the fate of every lease is counted.
func (r *rig) balanced() Stats {
	r.t.Helper()
	st := r.desk.Stats()
	if sum := st.Claimed + st.Late + st.Returned + st.Expired + st.Abandoned + uint64(st.Queued+st.Claiming); sum != st.Leases {
		r.t.Fatalf("%d leases came, and %d are accounted for: %+v", st.Leases, sum, st)
	}
	return st
}

// second is shorter to write.
const second = time.Second

package shake

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// instant is a mailbox that answers in place: every claim wins.
type instant struct {
	im.Mailbox
	leases int
	next   im.LeaseID
	won    atomic.Int64
}

// Submit implements im.Mailbox.
func (m *instant) Submit(_ im.Addr, cmd im.Command, done im.Completion) {
	switch cmd := cmd.(type) {
	case *im.RenewSets:
		l := &im.Leases{Now: 1, End: 1 << 40}
		for i := range m.leases {
			m.next++
			l.Leases = append(l.Leases, im.Lease{ID: m.next, Set: cmd.Sets[i%len(cmd.Sets)].Set, Expires: 1 << 40})
		}
		done.Complete(cmd, l, nil)
	case *im.Claim:
		m.won.Add(1)
		done.Complete(cmd, won, nil)
	default:
		done.Complete(cmd, nil, nil)
	}
}

var won = &im.Claimed{Outcome: im.ClaimWon, Cents: 1}

func benchDesk(tb testing.TB, leases, sets int) (*Desk, *instant) {
	m := &instant{leases: leases}
	d, err := New(Config{
		Mailbox: m, Logger: slog.New(slog.DiscardHandler), Sets: sets, MaxQueue: im.MaxWant,
		After: func(time.Duration, func()) func() bool { return func() bool { return true } },
	})
	if err != nil {
		tb.Fatal(err)
	}
	d.Shake(1, party, func(im.Shaken) {})
	return d, m
}

func TestNothingDoesNotAllocate(t *testing.T) {
	d, _ := benchDesk(t, 0, 2)
	n := 0
	done := func(out im.Shaken) { n += int(out.Outcome) }
	user := im.UserID(1)
	if allocs := testing.AllocsPerRun(100, func() { user++; d.Shake(user, party, done) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkShake(b *testing.B) {
	b.Run("empty", func(b *testing.B) {
		d, _ := benchDesk(b, 0, 2)
		done := func(im.Shaken) {}
		user := im.UserID(1)
		b.ReportAllocs()
		for b.Loop() {
			user++
			d.Shake(user, party, done)
		}
	})
	b.Run("empty_parallel", func(b *testing.B) {
		d, _ := benchDesk(b, 0, 2)
		var users atomic.Uint64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			user := im.UserID(users.Add(1) << 40)
			done := func(im.Shaken) {}
			for pb.Next() {
				user++
				d.Shake(user, party, done)
			}
		})
	})
	b.Run("full", func(b *testing.B) {
		d, m := benchDesk(b, 0, 1)
		q := &d.campaigns[party].queues[0]
		done := func(im.Shaken) {}
		user := im.UserID(1)
		b.ReportAllocs()
		for b.Loop() {
			user++
			q.push(lease{id: 1, expires: 1 << 62})
			d.Shake(user, party, done)
		}
		if int(m.won.Load()) < b.N {
			b.Errorf("%d of %d won", m.won.Load(), b.N)
		}
	})
}

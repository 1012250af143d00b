package mailbox

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/pebble"
)

// overloadUsers is how many users write to each other under overload.
const overloadUsers = 5000

// flood offers sends at a rate, whatever becomes of them.
type flood struct {
	m    *Mailbox
	done atomic.Int64
	mu   sync.Mutex
	took []time.Duration
	late time.Duration
}

func (f *flood) send(due time.Time) {
	f.late = max(f.late, time.Since(due))
	from := im.UserID(rand.IntN(overloadUsers) + 1)
	cmd := &im.Send{To: (from % overloadUsers) + 1, Device: 1, Session: im.SessionID(from), Content: text("hello hello hello hello")}
	f.m.Submit(im.User(from), cmd, im.CompletionFunc(func(_ im.Command, _ im.Result, err error) {
		if err != nil {
			return
		}
		f.done.Add(1)
		took := time.Since(due)
		f.mu.Lock()
		f.took = append(f.took, took)
		f.mu.Unlock()
	}))
}

// offer sends at a rate for some time; each send is due at its own moment, and
// one that leaves late has waited.
func (f *flood) offer(perSecond float64, length time.Duration) {
	begun := time.Now()
	for n := 0; ; {
		elapsed := time.Since(begun)
		if elapsed > length {
			return
		}
		for ; float64(n) < perSecond*elapsed.Seconds(); n++ {
			f.send(begun.Add(time.Duration(float64(n) / perSecond * float64(time.Second))))
		}
		time.Sleep(time.Millisecond)
	}
}

func (f *flood) p99() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(f.took)
	return f.took[len(f.took)*99/100]
}

// capacity is how many sends a second are done when there is always another.
func capacity(m *Mailbox, length time.Duration) float64 {
	var done atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for user := range im.UserID(1000) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				cmd := &im.Send{To: user + 2, Device: 1, Session: im.SessionID(user + 1), Content: text("hello hello hello hello")}
				if _, err := im.Do(context.Background(), m, im.User(user+1), cmd); err == nil {
					done.Add(1)
				}
			}
		})
	}
	time.Sleep(length / 4)
	before := done.Load()
	time.Sleep(length)
	rate := float64(done.Load()-before) / length.Seconds()
	close(stop)
	wg.Wait()
	return rate
}

// BenchmarkOverload offers multiples of the capacity for four seconds each, on
// a real disk; the generator competes for the processor.
func BenchmarkOverload(b *testing.B) {
	log := slog.New(slog.DiscardHandler)
	st, err := pebble.Open(b.TempDir(), pebble.Options{Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	cfg := DefaultConfig()
	cfg.Logger = log
	m := New(cfg, st)
	if err := m.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	defer m.Stop()
	for user := range im.UserID(overloadUsers) {
		cmd := &im.Provision{TokenHashes: [][32]byte{tokenHash(user + 1)}, Friends: []im.UserID{(user+1)%overloadUsers + 1, (user+overloadUsers-1)%overloadUsers + 1}}
		if _, err := im.Do(context.Background(), m, im.User(user+1), cmd); err != nil {
			b.Fatal(err)
		}
	}
	peak := capacity(m, 3*time.Second)
	for _, load := range []float64{0.5, 1, 2, 4} {
		b.Run(fmt.Sprintf("load=%v", load), func(b *testing.B) {
			const length = 4 * time.Second
			for b.Loop() {
				f := &flood{m: m}
				f.offer(load*peak, length)
				b.ReportMetric(float64(f.done.Load())/length.Seconds(), "done/s")
				b.ReportMetric(float64(f.done.Load())/length.Seconds()/peak, "of-peak")
				b.ReportMetric(float64(f.late.Milliseconds()), "most-late-ms")
				b.ReportMetric(float64(f.p99().Milliseconds()), "p99-ms")
				time.Sleep(time.Second)
			}
		})
	}
}

//go:build unix

package pebble

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// BenchmarkCommit commits batches of 64 messages as a shard does: each
// message appends some 350 bytes to the logs of two of 10,000 users. One
// operation is one message. cpu-us/op counts the whole process, compactions
// and log writing included; run it for some seconds, or there are none:
//
//	go test -run - -bench Commit -benchtime 300000x ./internal/store/pebble
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct {
		name   string
		shards int
		heads  bool
	}{{"shards=1", 1, false}, {"shards=4", 4, false}, {"shards=4/heads", 4, true}} {
		b.Run(c.name, func(b *testing.B) { benchmarkCommit(b, c.shards, c.heads) })
	}
}

func benchmarkCommit(b *testing.B, shards int, heads bool) {
	s := mustOpen(b, b.TempDir(), Options{})
	epochs := acquireAll(b, s)
	workers := make([]*worker, shards)
	for i := range workers {
		workers[i] = newWorker(s, epochs, i, shards, heads)
	}
	cpu := cpuTime(b)
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() { w.run(b, b.N/shards) })
	}
	wg.Wait()
	b.StopTimer()
	m := s.Metrics()
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(m.CommitTime.Microseconds())/float64(m.Commits), "us/commit")
	b.ReportMetric(float64(m.Syncs)/float64(m.Commits), "syncs/commit")
	b.ReportMetric(float64(m.BytesFlushed+m.BytesCompacted)/float64(m.CommitBytes), "table-bytes/byte")
	b.ReportMetric(float64(m.Layers), "layers")
	b.ReportMetric(float64(m.DiskBytes)/float64(m.CommitBytes), "disk/byte")
}

// BenchmarkRead reads what a device that was away for a while asks for: the
// last 50 entries of a random one of 10,000 users with 40 entries or more.
func BenchmarkRead(b *testing.B) {
	s := mustOpen(b, b.TempDir(), Options{})
	w := newWorker(s, acquireAll(b, s), 0, 1, true)
	w.run(b, 300000)
	ctx := context.Background()
	b.Run("ReadLog", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			u := w.rng.IntN(len(w.users))
			from := max(1, int(w.seqs[u])-49)
			if es, err := s.ReadLog(ctx, w.users[u], im.Seq(from), 50, 1<<20); err != nil || len(es) != int(w.seqs[u])-from+1 {
				b.Fatalf("%d entries, %v", len(es), err)
			}
		}
	})
	b.Run("Load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			u := w.rng.IntN(len(w.users))
			e, err := s.Load(ctx, w.users[u], func([]store.Record) im.Seq { return w.seqs[u] })
			if err != nil || len(e.Records) != 1 {
				b.Fatalf("%d records, %v", len(e.Records), err)
			}
		}
	})
	b.Run("LoadNobody", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e, err := s.Load(ctx, im.User(im.UserID(benchUsers+1+w.rng.IntN(1e6))), func([]store.Record) im.Seq { return 0 })
			if err != nil || len(e.Records) != 0 {
				b.Fatalf("%d records, %v", len(e.Records), err)
			}
		}
	})
}

// cpuTime is what the process has used.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// worker is one shard of users.
type worker struct {
	store  *Store
	epochs []im.Epoch
	users  []im.Addr
	seqs   []im.Seq
	rng    *rand.Rand
	heads  bool
	text   []byte
}

const benchUsers = 10000

func newWorker(s *Store, epochs []im.Epoch, shard, shards int, heads bool) *worker {
	w := &worker{store: s, epochs: epochs, heads: heads, rng: rand.New(rand.NewPCG(1, uint64(shard)))}
	for i := 1; i <= benchUsers; i++ {
		if a := im.User(im.UserID(i)); int(a.Slot())%shards == shard {
			w.users = append(w.users, a)
		}
	}
	w.seqs = make([]im.Seq, len(w.users))
	w.text = make([]byte, 1<<16)
	for i := 0; i < len(w.text); i += 8 { // half random, half repeated
		binary.LittleEndian.PutUint32(w.text[i:], w.rng.Uint32())
		copy(w.text[i+4:], "text")
	}
	return w
}

func (w *worker) run(b *testing.B, messages int) {
	for n := 0; n < messages; n += 64 {
		batch := w.batch(min(64, messages-n))
		if err := w.store.Commit(context.Background(), batch); err != nil {
			b.Error(err)
			return
		}
	}
}

// batch folds the changes of one entity together, as a shard does.
func (w *worker) batch(messages int) *store.Batch {
	b := &store.Batch{Changes: make([]store.Change, 0, 2*messages)}
	index := make(map[int]int, 2*messages)
	for range 2 * messages {
		u := w.rng.IntN(len(w.users))
		at := w.rng.IntN(len(w.text) - 350)
		i, ok := index[u]
		if !ok {
			a := w.users[u]
			i = len(b.Changes)
			index[u] = i
			b.Changes = append(b.Changes, store.Change{Addr: a, Epoch: w.epochs[a.Slot()], First: w.seqs[u] + 1})
			if w.heads {
				b.Changes[i].Put = []store.Record{{Key: "h", Value: w.text[at : at+40]}}
			}
		}
		b.Changes[i].Append = append(b.Changes[i].Append, w.text[at:at+350])
		w.seqs[u]++
	}
	return b
}

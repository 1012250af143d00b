//go:build unix

package redis

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skein-im/skein/internal/bench"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/redis/redistest"
)

// BenchmarkCommit commits batches of messages as shards do: each message appends
// some 350 bytes to the logs of two of 10,000 users. One operation is one
// message; servers sync every write.
//
//	go test -run - -bench Commit -benchtime 60000x ./internal/store/redis
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct {
		name     string
		servers  func(testing.TB) *redistest.Cluster
		replicas int
		shards   int
		batch    int
	}{
		{"one/shards=2/batch=64", single, 0, 2, 64},
		{"one/shards=8/batch=64", single, 0, 8, 64},
		{"one/shards=1/batch=1", single, 0, 1, 1},
		{"one/shards=64/batch=1", single, 0, 64, 1},
		{"cluster/shards=2/batch=64", cluster, 1, 2, 64},
		{"cluster/shards=8/batch=64", cluster, 1, 8, 64},
		{"cluster/shards=1/batch=1", cluster, 1, 1, 1},
		{"cluster/shards=64/batch=1", cluster, 1, 64, 1},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkCommit(b, c.servers(b), c.replicas, c.shards, c.batch) })
	}
}

func benchmarkCommit(b *testing.B, servers *redistest.Cluster, replicas, shards, batch int) {
	ctx := context.Background()
	s := mustOpen(b, options(servers, replicas))
	epochs := acquireAll(b, s)
	workers := make([]*worker, shards)
	for i := range workers {
		workers[i] = newWorker(s, epochs, i, shards)
	}
	memory := usedMemory(b, servers)
	theirs, err := servers.CPU(ctx)
	if err != nil {
		b.Fatal(err)
	}
	cpu := cpuTime(b)
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() { w.run(b, (b.N+shards-1)/shards, batch) })
	}
	wg.Wait()
	b.StopTimer()
	cpu = cpuTime(b) - cpu
	after, err := servers.CPU(ctx)
	if err != nil {
		b.Fatal(err)
	}
	report := func(v float64, unit string) { b.ReportMetric(v, unit) }
	n := float64(b.N)
	report(float64(cpu.Microseconds())/n, "client-us/op")
	report(float64((after-theirs).Microseconds())/n, "servers-us/op")
	report(n/b.Elapsed().Seconds(), "msg/s")
	report(float64(usedMemory(b, servers)-memory)/n, "primary-bytes/op")
	var took []time.Duration
	for _, w := range workers {
		took = append(took, w.took...)
	}
	slices.Sort(took)
	report(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	report(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	report(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
}

// BenchmarkChat commits what mailboxes commit for a chat among 1,000 users, as
// "skein bench store" does, and then looks for every message. One operation is
// one message.
//
//	go test -run - -bench Chat -benchtime 60000x ./internal/store/redis
func BenchmarkChat(b *testing.B) {
	for _, c := range []struct {
		name     string
		servers  func(testing.TB) *redistest.Cluster
		replicas int
	}{{"one", single, 0}, {"cluster", cluster, 1}} {
		b.Run(c.name, func(b *testing.B) { benchmarkChat(b, c.servers(b), c.replicas) })
	}
}

func benchmarkChat(b *testing.B, servers *redistest.Cluster, replicas int) {
	ctx := context.Background()
	opts := options(servers, replicas)
	theirs, err := servers.CPU(ctx)
	if err != nil {
		b.Fatal(err)
	}
	cfg := bench.DefaultStoreConfig()
	cfg.Messages, cfg.Shards = b.N, 4
	cfg.Open = func(ctx context.Context) (store.Store, error) { return Open(ctx, opts) }
	res, err := bench.Store(ctx, cfg)
	if err != nil {
		b.Fatal(err)
	}
	if !res.Good {
		b.Fatalf("%+v", res.Tally)
	}
	after, err := servers.CPU(ctx)
	if err != nil {
		b.Fatal(err)
	}
	n := float64(b.N)
	b.ReportMetric(0, "ns/op") // it counts the making of the messages
	b.ReportMetric(res.MsgsPerSec, "msg/s")
	b.ReportMetric(res.CPU, "client-us/op")
	b.ReportMetric(float64((after-theirs).Microseconds())/n, "servers-us/op")
	b.ReportMetric(res.CommitMS.P50, "p50-ms")
	b.ReportMetric(res.CommitMS.P99, "p99-ms")
	b.ReportMetric(res.CommitMS.Max, "max-ms")
}

// usedMemory is what the primaries hold.
func usedMemory(b *testing.B, servers *redistest.Cluster) int64 {
	var sum int64
	for _, s := range servers.Servers[:servers.Primaries] {
		text, err := s.Info(context.Background(), "used_memory_dataset")
		if err != nil {
			b.Fatal(err)
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += n
	}
	return sum
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// acquireAll makes the test the owner of every slot.
func acquireAll(t testing.TB, s *Store) []im.Epoch {
	t.Helper()
	slots := make([]im.Slot, im.Slots)
	for i := range slots {
		slots[i] = im.Slot(i)
	}
	epochs, err := s.Acquire(context.Background(), "test", slots)
	if err != nil {
		t.Fatal(err)
	}
	return epochs
}

// worker is one shard of users.
type worker struct {
	store  *Store
	epochs []im.Epoch
	users  []im.Addr
	seqs   []im.Seq
	rng    *rand.Rand
	text   []byte
	took   []time.Duration
}

const benchUsers = 10000

func newWorker(s *Store, epochs []im.Epoch, shard, shards int) *worker {
	w := &worker{store: s, epochs: epochs, rng: rand.New(rand.NewPCG(1, uint64(shard)))}
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

func (w *worker) run(b *testing.B, messages, size int) {
	for n := 0; n < messages; n += size {
		batch := w.batch(min(size, messages-n))
		began := time.Now()
		if err := w.store.Commit(context.Background(), batch); err != nil {
			b.Error(err)
			return
		}
		w.took = append(w.took, time.Since(began))
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
		}
		b.Changes[i].Append = append(b.Changes[i].Append, w.text[at:at+350])
		w.seqs[u]++
	}
	return b
}

//go:build unix

package redis

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skein-im/skein/internal/bench"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/redis/redistest"
	"github.com/skein-im/skein/internal/store/storetest"
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
	workers := storetest.NewShards(b, s, shards)
	memory := usedMemory(b, servers)
	theirs, err := servers.CPU(ctx)
	if err != nil {
		b.Fatal(err)
	}
	cpu := cpuTime(b)
	b.ReportAllocs()
	b.ResetTimer()
	storetest.RunShards(b, workers, b.N, batch)
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
		took = append(took, w.Took...)
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

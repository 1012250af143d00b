//go:build unix

package pebble

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/storetest"
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
	workers := storetest.NewShards(b, s, shards)
	for _, w := range workers {
		w.Heads = heads
	}
	cpu := cpuTime(b)
	b.ReportAllocs()
	b.ResetTimer()
	storetest.RunShards(b, workers, b.N, 64)
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
	shards := storetest.NewShards(b, s, 1)
	w := shards[0]
	w.Heads = true
	storetest.RunShards(b, shards, 300000, 64)
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(1, 2))
	b.Run("ReadLog", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			u := rng.IntN(len(w.Users))
			from := max(1, int(w.Seqs[u])-49)
			if es, err := s.ReadLog(ctx, w.Users[u], im.Seq(from), 50, 1<<20); err != nil || len(es) != int(w.Seqs[u])-from+1 {
				b.Fatalf("%d entries, %v", len(es), err)
			}
		}
	})
	b.Run("Load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			u := rng.IntN(len(w.Users))
			e, err := s.Load(ctx, w.Users[u], func([]store.Record) im.Seq { return w.Seqs[u] })
			if err != nil || len(e.Records) != 1 {
				b.Fatalf("%d records, %v", len(e.Records), err)
			}
		}
	})
	b.Run("LoadNobody", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e, err := s.Load(ctx, im.User(im.UserID(storetest.ShardUsers+1+rng.IntN(1e6))), func([]store.Record) im.Seq { return 0 })
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

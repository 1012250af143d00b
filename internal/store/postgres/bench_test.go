package postgres

import (
	"testing"

	"github.com/skein-im/skein/internal/store/storetest"
)

// BenchmarkCommit commits batches of messages as mailboxes do: each message appends
// some 350 bytes to the logs of two of 10,000 users. One operation is one message.
// Where there is room, the server's files are in memory.
//
//	go test -run - -bench Commit -benchtime 60000x ./internal/store/postgres
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct {
		name          string
		shards, batch int
	}{{"shards=2/batch=64", 2, 64}, {"shards=1/batch=1", 1, 1}} {
		b.Run(c.name, func(b *testing.B) {
			shards := storetest.NewShards(b, mustOpen(b, options(single(b).URL())), c.shards)
			b.ReportAllocs()
			b.ResetTimer()
			storetest.RunShards(b, shards, b.N, c.batch)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

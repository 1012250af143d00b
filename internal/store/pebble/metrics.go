package pebble

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/telemetry"
)

// Metrics are the store's numbers since it was opened, unless they say now.
type Metrics struct {
	Commits     uint64 // that were acknowledged, in whole or in part
	CommitTime  time.Duration
	CommitTimes telemetry.Counts
	CommitBytes uint64 // encoded, before the log's own overhead
	Fenced      uint64 // slots refused
	Stalls      uint64 // commits that waited for compactions or flushes

	// Syncs of the write-ahead log. Concurrent commits share them.
	Syncs     uint64
	SyncTime  time.Duration
	SyncMax   time.Duration
	SyncTimes telemetry.Counts

	BackgroundErrors uint64
	Corruptions      uint64 // damaged blocks met

	DiskBytes       uint64 // now
	DiskFree        uint64 // for this user, on the file system, now
	DiskSize        uint64 // of the file system
	WALBytes        uint64 // now
	CacheBytes      int64  // now
	CacheHits       int64
	CacheMisses     int64
	Layers          int    // of tables waiting for compaction, now; see stopSublevels
	CompactionDebt  uint64 // bytes, estimated, now
	BytesFlushed    uint64
	BytesCompacted  uint64
	MemTableBytes   uint64 // now
	OpenFileHandles int64  // of tables, now
}

// counts are the numbers that the store keeps itself.
type counts struct {
	commitBytes, fenced, stalls   atomic.Uint64
	backgroundErrors, corruptions atomic.Uint64
	commits                       telemetry.Histogram
}

// latency counts durations, and keeps the longest.
type latency struct {
	telemetry.Histogram
	max atomic.Int64
}

func (l *latency) add(d time.Duration) {
	l.Observe(d)
	for m := l.max.Load(); int64(d) > m && !l.max.CompareAndSwap(m, int64(d)); {
		m = l.max.Load()
	}
}

// Metrics costs some tens of microseconds.
func (s *Store) Metrics() Metrics {
	m := Metrics{
		CommitTimes:      s.counts.commits.Counts(),
		CommitBytes:      s.counts.commitBytes.Load(),
		Fenced:           s.counts.fenced.Load(),
		Stalls:           s.counts.stalls.Load(),
		SyncTimes:        s.disk.syncs.Counts(),
		SyncMax:          time.Duration(s.disk.syncs.max.Load()),
		BackgroundErrors: s.counts.backgroundErrors.Load(),
		Corruptions:      s.counts.corruptions.Load(),
	}
	m.Commits, m.CommitTime = m.CommitTimes.Total(), time.Duration(m.CommitTimes.Sum)
	m.Syncs, m.SyncTime = m.SyncTimes.Total(), time.Duration(m.SyncTimes.Sum)
	if s.life.Enter(context.Background()) != nil {
		return m
	}
	defer s.life.Exit()
	p := s.db.Metrics()
	m.DiskBytes = p.DiskSpaceUsage()
	if u, err := s.disk.FS.GetDiskUsage(s.dir); err == nil {
		m.DiskFree, m.DiskSize = u.AvailBytes, u.TotalBytes
	}
	m.WALBytes = p.WAL.PhysicalSize
	m.CacheBytes, m.CacheHits, m.CacheMisses = p.BlockCache.Size, p.BlockCache.Hits, p.BlockCache.Misses
	m.Layers = int(p.Levels[0].Sublevels)
	m.CompactionDebt = p.Compact.EstimatedDebt
	m.MemTableBytes = p.MemTable.Size
	m.OpenFileHandles = p.FileCache.TableCount
	total := p.Total()
	m.BytesFlushed = total.TableBytesFlushed + total.BlobBytesFlushed
	m.BytesCompacted = total.TableBytesCompacted + total.BlobBytesCompacted
	return m
}

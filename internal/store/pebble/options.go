package pebble

import (
	"math"
	"runtime"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// memTableBytes is the size of a write buffer. Twice the size saves a tenth
// of what compactions write, and costs as much in cache misses on insertion.
const memTableBytes = 64 << 20

// pebbleOptions are chosen for many small appends and few reads. The figures
// are of BenchmarkCommit on two cores, where a message of two appends takes 11
// to 13 us of CPU, and one with two records besides 15 to 20; half of it goes
// into writing tables, a third into the write buffer.
func (s *Store) pebbleOptions(opts Options) *pebbledb.Options {
	p := &pebbledb.Options{
		CacheSize:          opts.CacheBytes,
		Comparer:           comparer(),
		EventListener:      s.listener(),
		FS:                 s.disk,
		Lock:               s.lock,
		Logger:             logger{log: s.log, failure: s.failure},
		FormatMajorVersion: pebbledb.FormatTableFormatV6, // see formatVersion

		// Tables are open at most so many times; a process here may hold
		// 20,000 files, and connections need them.
		MaxOpenFiles:        1000,
		MaxManifestFileSize: maxManifest,

		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: 3, // one filling, one being flushed, one for a burst
		// Four full write buffers, which is what accumulates before they
		// are compacted into the next level.
		LBaseMaxBytes: 4 * memTableBytes,
		// See gate.
		L0StopWritesThreshold:      math.MaxInt32,
		BytesPerSync:               1 << 20,
		CompactionConcurrencyRange: compactions,
	}
	// Statistics help to drop large deleted ranges; trimming deletes many small
	// ones, which compactions drop anyway.
	// And the goroutine that collects them outlives an Open that fails.
	p.DisableTableStats = true
	p.Experimental.CompactionScheduler = s.scheduler
	// Nearly all reads are of the newest entries, so reading must not cause
	// compactions.
	p.Experimental.ReadSamplingMultiplier = -1
	// The entries of a log share their prefix without being versions of one
	// another: keep them where they are.
	p.Experimental.SpanPolicyFunc = func([]byte) (pebbledb.SpanPolicy, []byte, error) {
		return pebbledb.SpanPolicy{DisableValueSeparationBySuffix: true}, nil, nil
	}
	levelOptions(p, opts.Compress)
	if opts.tune != nil {
		opts.tune(p)
	}
	return p
}

// levelOptions set how tables are written.
func levelOptions(p *pebbledb.Options, compress bool) {
	last := len(p.Levels) - 1
	for i := range p.Levels {
		l := &p.Levels[i]
		// A tenth less CPU than blocks of 4 KiB; an entity's newest entries
		// lie side by side in one.
		l.BlockSize = 32 << 10
		l.IndexBlockSize = 256 << 10
		l.Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
		l.FilterPolicy = bloom.FilterPolicy(10)
	}
	// Nine tenths of the data end up here. A filter would be as large as all
	// others together, and hardly ever say no.
	p.Levels[last].FilterPolicy = pebbledb.NoFilterPolicy
	if compress {
		p.Levels[last].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
}

// compactions is how many may run at a time: one, and more when they fall
// behind.
func compactions() (lower, upper int) { return 1, max(2, runtime.GOMAXPROCS(0)/2) }

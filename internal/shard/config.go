package shard

import (
	"log/slog"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/trace"
)

// Config bounds what a Core does.
type Config struct {
	// MaxBatchBytes closes the batch being filled; what comes after waits
	// in the queue.
	MaxBatchBytes int
	// MaxParked is how many inputs may wait for their entities to be
	// loaded, MaxParkedBytes how many bytes they may have (0: any number);
	// what comes after waits in the queue.
	MaxParked      int
	MaxParkedBytes int
	// MaxHot is how many entities may be in memory before idle ones are
	// put out; an eighth of it may be idle in any case.
	MaxHot int
	// FlushAfter is how long acks and cursors may stay out of the store.
	FlushAfter im.Millis
	// SnapshotEvery is how many log entries may pass without a snapshot.
	SnapshotEvery int
	// WindowEntries and WindowBytes bound what a session has been
	// delivered and not acknowledged.
	WindowEntries int
	WindowBytes   int
	// ReadBytes bounds one read of a timeline for a session.
	ReadBytes int
	// Retain is how much of users' logs is kept; the zero value: all.
	Retain entity.Retention
	// Generation is the store's.
	Generation im.Generation
	// Confirm makes answers that change nothing wait for a commit too, so
	// that the store has said that the slot has no newer owner: needed
	// where several nodes share a store.
	Confirm bool
	// OwnerOf is who has acquired a slot last that is not served here, as far as
	// is known; nil: it is not. It may be nil itself.
	OwnerOf func(slot im.Slot) *im.Owner
	// Jitter returns a number in [0, n).
	Jitter func(n int64) int64
	// Started hears of every input given to Handle, once, when its processing
	// starts, or when it is refused unprocessed, and of a command how long it
	// has been queued; it may be nil. Waiting for the entity to be loaded
	// counts: when entities are asked for faster than the store can read them,
	// that is where the queue is.
	Started func(in *Input, queued im.Millis)
	// Traces records what becomes of inputs that are traced; nil: nobody does.
	Traces *trace.Recorder
	Logger *slog.Logger
}

// DefaultConfig is right for a node of a few cores.
func DefaultConfig() Config {
	return Config{
		MaxBatchBytes:  4 << 20,
		MaxParked:      16 << 10,
		MaxParkedBytes: 32 << 20,
		MaxHot:         200_000,
		FlushAfter:     5000,
		SnapshotEvery:  512,
		WindowEntries:  1024,
		WindowBytes:    2 << 20,
		ReadBytes:      256 << 10,
		Logger:         slog.Default(),
	}
}

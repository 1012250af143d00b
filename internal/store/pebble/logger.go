package pebble

import (
	"fmt"
	"log/slog"

	pebbledb "github.com/cockroachdb/pebble/v2"
)

// logger passes Pebble's messages on. Pebble is talkative; its information is
// debugging to us.
type logger struct {
	log     *slog.Logger
	failure *failure
}

func (l logger) Infof(format string, args ...any) {
	l.log.Debug(fmt.Sprintf(format, args...))
}

func (l logger) Errorf(format string, args ...any) {
	l.log.Warn(fmt.Sprintf(format, args...))
}

// Fatalf marks the store failed and returns, which kills the disk: nothing
// that Pebble does in the state it is worried about reaches the files.
func (l logger) Fatalf(format string, args ...any) {
	l.failure.set("database", "", fmt.Errorf(format, args...))
}

// listener tells the operator about what needs attention, and the write gate
// about what may have changed it. Its functions are called with Pebble's
// mutexes held.
func (s *Store) listener() *pebbledb.EventListener {
	log := s.log
	return &pebbledb.EventListener{
		FlushEnd:        func(pebbledb.FlushInfo) { s.gate.grew() },
		CompactionEnd:   func(pebbledb.CompactionInfo) { s.gate.shrank() },
		BackgroundError: s.backgroundError,
		DataCorruption: func(info pebbledb.DataCorruptionInfo) {
			if s.failure.get() == nil {
				s.counts.corruptions.Add(1)
				log.Error("damaged data found in the store; check the disk, keep a backup",
					"file", info.Path, "err", info.Details)
			}
		},
		WriteStallBegin: func(info pebbledb.WriteStallBeginInfo) {
			s.counts.stalls.Add(1)
			log.Warn("writes wait until the disk has caught up", "reason", info.Reason)
		},
		LowDiskSpace: func(info pebbledb.LowDiskSpaceInfo) {
			log.Warn("the disk is getting full", "available", info.AvailBytes, "total", info.TotalBytes)
		},
	}
}

// backgroundError hears of flushes and compactions that failed. They will be
// tried again, but when commits wait for them already, waiting on is no help.
func (s *Store) backgroundError(err error) {
	if s.failure.get() != nil {
		return
	}
	s.counts.backgroundErrors.Add(1)
	s.scheduler.pause()
	s.log.Error("background work in the store failed and will be tried again", "err", err)
	if s.gate.closed() {
		s.failure.set("compact", "tables", err)
	}
}

var _ pebbledb.Logger = logger{log: slog.Default()}

package pebble

import (
	"sync"
	"time"

	pebbledb "github.com/cockroachdb/pebble/v2"
)

const (
	// compactionPause is how long no compaction starts after one has failed.
	// Pebble itself would try again at once.
	compactionPause = 10 * time.Second
	// compactionPoll is how often compactions that had to wait are looked
	// for.
	compactionPoll = 100 * time.Millisecond
)

// scheduler decides when Pebble may run compactions: as many at a time as
// Pebble asks for, none for a while after one has failed, and none on a dead
// disk. None before begin is called either: when opening fails, Pebble would
// leave them running. It owns one goroutine, from begin to Unregister.
type scheduler struct {
	failure *failure
	now     func() time.Time

	db      pebbledb.DBForCompaction // nil until begin
	opened  pebbledb.DBForCompaction // set by Register
	stop    chan struct{}
	stopped sync.WaitGroup
	poke    chan struct{}

	// mu is taken with Pebble's mutexes held, so it is not held while
	// Pebble is called; granting is, and is never taken below them.
	mu      sync.Mutex
	running int
	resume  time.Time

	granting sync.Mutex
	closed   bool
}

var _ pebbledb.CompactionScheduler = (*scheduler)(nil)

func newScheduler(f *failure, now func() time.Time) *scheduler {
	return &scheduler{failure: f, now: now, stop: make(chan struct{}), poke: make(chan struct{}, 1)}
}

// pause lets no compaction start for a while.
func (s *scheduler) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resume = s.now().Add(compactionPause)
}

// reserve takes the right to run one compaction, if there is one.
func (s *scheduler) reserve() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil || s.failure.get() != nil || s.now().Before(s.resume) || s.running >= s.db.GetAllowedWithoutPermission() {
		return false
	}
	s.running++
	return true
}

func (s *scheduler) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
}

// grant starts compactions that wait.
func (s *scheduler) grant() {
	s.granting.Lock()
	defer s.granting.Unlock()
	for !s.closed && s.reserve() {
		if waiting, _ := s.db.GetWaitingCompaction(); !waiting || !s.db.Schedule(s) {
			s.release()
			return
		}
	}
}

// Register implements pebbledb.CompactionScheduler.
func (s *scheduler) Register(_ int, db pebbledb.DBForCompaction) { s.opened = db }

// begin lets compactions run.
func (s *scheduler) begin() {
	s.mu.Lock()
	s.db = s.opened
	s.mu.Unlock()
	s.stopped.Go(func() {
		tick := time.NewTicker(compactionPoll)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-s.poke:
			case <-s.stop:
				return
			}
			s.grant()
		}
	})
}

// Unregister implements pebbledb.CompactionScheduler: when it returns, nothing
// is granted any more.
func (s *scheduler) Unregister() {
	close(s.stop)
	s.stopped.Wait()
	s.granting.Lock()
	defer s.granting.Unlock()
	s.closed = true
}

// TrySchedule implements pebbledb.CompactionScheduler.
func (s *scheduler) TrySchedule() (bool, pebbledb.CompactionGrantHandle) {
	if !s.reserve() {
		return false, nil
	}
	return true, s
}

// UpdateGetAllowedWithoutPermission implements pebbledb.CompactionScheduler.
func (s *scheduler) UpdateGetAllowedWithoutPermission() {
	select {
	case s.poke <- struct{}{}:
	default: // it is going to look anyway
	}
}

// Done implements pebbledb.CompactionGrantHandle.
func (s *scheduler) Done() {
	s.release()
	s.grant()
}

// Started implements pebbledb.CompactionGrantHandle.
func (s *scheduler) Started() {}

// MeasureCPU implements pebbledb.CompactionGrantHandle.
func (s *scheduler) MeasureCPU(pebbledb.CompactionGoroutineKind) {}

// CumulativeStats implements pebbledb.CompactionGrantHandle.
func (s *scheduler) CumulativeStats(pebbledb.CompactionGrantHandleStats) {}

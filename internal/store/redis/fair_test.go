package redis

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/storetest"
)

// TestFairness: commits get their turn on a server's connections in the order
// they came, however many there are. (The pool of the client library lets
// those who have just finished overtake those who wait, for seconds.)
func TestFairness(t *testing.T) {
	const committers, commits = 16, 1600
	opts := options(single(t), 0)
	opts.Connections = 2
	s := mustOpen(t, opts)
	epochs := storetest.AcquireAll(t, s)
	var total atomic.Int64
	counts := make([]int, committers)
	var wg sync.WaitGroup
	for i := range committers {
		wg.Go(func() {
			a := im.User(im.UserID(i + 1))
			for total.Add(1) <= commits {
				if err := s.Commit(t.Context(), storetest.One(a, epochs[a.Slot()], im.Seq(counts[i]+1), "x")); err != nil {
					t.Error(err)
					return
				}
				counts[i]++
			}
		})
	}
	wg.Wait()
	for i, n := range counts {
		if n < commits/committers/2 {
			t.Fatalf("committer %d made %d of %d commits: %v", i, n, commits, counts)
		}
	}
}

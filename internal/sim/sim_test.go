package sim

import (
	"bytes"
	"flag"
	"fmt"
	"sync"
	"testing"
)

var (
	flagSeeds = flag.Int("seeds", usualSeeds, "how many seeds to run")
	flagSeed  = flag.Uint64("seed", 0, "run this seed only, and print its trace when it fails")
)

// TestSeeds runs the system as it is.
func TestSeeds(t *testing.T) {
	if *flagSeed != 0 {
		replay(t, *flagSeed)
		return
	}
	seeds := *flagSeeds
	if testing.Short() {
		seeds = min(seeds, 100)
	}
	var mu sync.Mutex
	var total Report
	t.Run("all", func(t *testing.T) {
		for seed := uint64(1); seed <= uint64(seeds); seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				r, err := Run(Options{Seed: seed})
				if err != nil {
					t.Errorf("%v\nreplay: go test ./internal/sim -run TestSeeds -seed=%d", err, seed)
				}
				mu.Lock()
				defer mu.Unlock()
				total.Add(r)
			})
		}
	})
	t.Logf("%d seeds: %+v", seeds, total)
	if seeds >= 100 {
		checkVaried(t, total, seeds)
	}
}

// checkVaried fails when the runs meet too little of what they are for.
func checkVaried(t *testing.T, r Report, seeds int) {
	t.Helper()
	per := func(n uint64) float64 { return float64(n) / float64(seeds) }
	for what, n := range map[string]uint64{
		"failed commits": r.Failed, "fenced commits": r.Fenced, "failed loads": r.LoadErrors, "evictions": r.Evicted,
		"messages sent again": r.Resent, "resumed sessions": r.Resumed, "sessions given up": r.Unresumed, "refused messages": uint64(r.Refused), "received messages": uint64(r.Received), "traced messages": uint64(r.Traced),
		"waits for hand-overs": uint64(r.Awaited), "slots waited for in vain": uint64(r.Forced), "answers that name an owner": uint64(r.Corrected), "entries let go of": uint64(r.Trimmed), "changes of balances": uint64(r.Money), "opened shares": uint64(r.Opened), "won envelopes": uint64(r.Won),
	} {
		if per(n) < 0.3 {
			t.Errorf("%.2f %s a run", per(n), what)
		}
	}
}

// The same seed is the same run, step by step.
func TestDeterministic(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		var traces [2]bytes.Buffer
		for i := range traces {
			if _, err := Run(Options{Seed: seed, Trace: &traces[i]}); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(traces[0].Bytes(), traces[1].Bytes()) {
			t.Fatalf("seed %d runs in two ways", seed)
		}
	}
}

// replay runs one seed and prints its trace when it fails.
func replay(t *testing.T, seed uint64) {
	t.Helper()
	var trace bytes.Buffer
	r, err := Run(Options{Seed: seed, Trace: &trace})
	t.Logf("%+v", r)
	if err != nil {
		t.Fatalf("%s\n%v", trace.Bytes(), err)
	}
}

package regions

import (
	"bytes"
	"flag"
	"slices"
	"testing"
	"testing/synctest"
)

var (
	flagSeeds = flag.Int("seeds", usualSeeds, "how many seeds to run")
	flagFirst = flag.Uint64("first", 1, "the first of them")
	flagSeed  = flag.Uint64("seed", 0, "run this seed only, and print its trace when it fails")
)

// simulate is Run in a bubble.
func simulate(t *testing.T, o Options) (r Report, err error) {
	synctest.Test(t, func(*testing.T) { r, err = Run(o) })
	return r, err
}

// TestSeeds runs the system as it is.
func TestSeeds(t *testing.T) {
	if *flagSeed != 0 {
		var trace bytes.Buffer
		if _, err := simulate(t, Options{Seed: *flagSeed, Trace: &trace}); err != nil {
			t.Fatalf("%s\n%v", trace.String(), err)
		}
		return
	}
	seeds := *flagSeeds
	if testing.Short() {
		seeds = min(seeds, 40)
	}
	var total Report
	for seed := *flagFirst; seed < *flagFirst+uint64(seeds); seed++ {
		r, err := simulate(t, Options{Seed: seed})
		if err != nil {
			t.Errorf("%v\nreplay: go test ./internal/sim/regions -run TestSeeds -seed=%d", err, seed)
		}
		total.Events += r.Events
		total.Sent += r.Sent
		total.Moves += r.Moves
		total.Crashes += r.Crashes
		total.Lost += r.Lost
		total.Strays += r.Strays
		total.Shifts += r.Shifts
		total.Fenced += r.Fenced
		total.Carried += r.Carried
		total.Twice += r.Twice
		total.Swaps += r.Swaps
		total.Batches += r.Batches
		total.Repeated += r.Repeated
		total.Ties += r.Ties
		total.Nudged += r.Nudged
		for i, n := range r.Strained {
			total.Strained[i] += n
		}
	}
	t.Logf("%d seeds: %+v", seeds, total)
	for what, met := range map[string]bool{
		"moves": total.Moves >= seeds, "crashes": total.Crashes >= seeds/4, "losses": total.Lost >= seeds, "strays": total.Strays >= seeds/10,
		"shifts": total.Shifts >= seeds, "fencing": total.Fenced >= seeds/20, "messages carried": total.Carried >= seeds,
		"moves of one user": total.Twice >= seeds/2, "moves towards each other": total.Swaps >= seeds/4,
		"batches": total.Batches >= seeds, "batches sent again": total.Repeated >= seeds, "links that break": total.Ties >= seeds,
		"debts": total.Nudged >= seeds/4, "faults of relays": slices.Min(total.Strained[:]) >= seeds/4,
	} {
		if !met {
			t.Errorf("the runs meet too little of what they are for: %s in %+v", what, total)
		}
	}
}

// TestDefectsAreFound: each deliberate mistake is noticed within some seeds.
func TestDefectsAreFound(t *testing.T) {
	for d := NotFrozen; d < defects; d++ {
		t.Run(d.String(), func(t *testing.T) {
			for seed := uint64(1); seed <= 60; seed++ {
				if _, err := simulate(t, Options{Seed: seed, Defect: d}); err != nil {
					t.Log(err)
					return
				}
			}
			t.Errorf("60 seeds did not find it")
		})
	}
}

// TestRunsAreTheSame: a seed makes the same run each time.
func TestRunsAreTheSame(t *testing.T) {
	for seed := *flagFirst; seed < *flagFirst+8; seed++ {
		var traces [2]bytes.Buffer
		for i := range traces {
			if _, err := simulate(t, Options{Seed: seed, Trace: &traces[i]}); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(traces[0].Bytes(), traces[1].Bytes()) {
			t.Errorf("two runs of seed %d differ: %d and %d bytes of trace", seed, traces[0].Len(), traces[1].Len())
		}
	}
}

package standbys

import (
	"bytes"
	"flag"
	"slices"
	"testing"
	"testing/synctest"
)

var (
	flagSeeds = flag.Int("seeds", 12, "how many seeds to run")
	flagFirst = flag.Uint64("first", 1, "the first of them")
	flagSeed  = flag.Uint64("seed", 0, "run this seed only, and print its trace when it fails")
)

// once are seeds that have found mistakes which the first ones did not.
var once = []uint64{194, 1429, 1801}

// simulate is Run in a bubble.
func simulate(t *testing.T, o Options) (r Report, err error) {
	t.Helper()
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
		seeds = min(seeds, 5)
	}
	list := slices.Clone(once)
	for i := range seeds {
		list = append(list, *flagFirst+uint64(i))
	}
	var total Report
	for _, seed := range list {
		r, err := simulate(t, Options{Seed: seed})
		if err != nil {
			t.Errorf("%v\nreplay: go test ./internal/sim/standbys -run TestSeeds -seed=%d", err, seed)
		}
		total.add(r)
	}
	t.Logf("%d seeds: %+v", len(list), total)
	if few := min(total.Lost, total.Copies/10, total.Fenced/5, total.Unknown, total.Dropped/4, total.Crashes/3); few < seeds/2 || seeds >= 100 && total.Broken == 0 {
		t.Errorf("the runs meet too little of what they are for: %+v", total)
	}
}

// TestDefectsAreFound: each deliberate mistake is noticed within some seeds.
func TestDefectsAreFound(t *testing.T) {
	for d := None + 1; d < defects; d++ {
		t.Run(d.String(), func(t *testing.T) {
			for seed := uint64(1); seed <= 60; seed++ {
				if _, err := simulate(t, Options{Seed: seed, Defect: d}); err != nil {
					t.Logf("%d seeds: %v", seed, err)
					return
				}
			}
			t.Errorf("60 seeds did not find it")
		})
	}
}

// TestRunsAreTheSame: a seed makes the same run each time.
func TestRunsAreTheSame(t *testing.T) {
	for seed := *flagFirst; seed < *flagFirst+3; seed++ {
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

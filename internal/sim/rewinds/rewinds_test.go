package rewinds

import (
	"bytes"
	"flag"
	"testing"
)

var (
	flagSeeds = flag.Int("seeds", 60, "how many seeds to run")
	flagFirst = flag.Uint64("first", 1, "the first of them")
	flagSeed  = flag.Uint64("seed", 0, "run this seed only, and print its trace when it fails")
)

// TestSeeds runs the system as it is.
func TestSeeds(t *testing.T) {
	if *flagSeed != 0 {
		var trace bytes.Buffer
		if _, err := Run(Options{Seed: *flagSeed, Trace: &trace}); err != nil {
			t.Fatalf("%s\n%v", trace.String(), err)
		}
		return
	}
	seeds := *flagSeeds
	if testing.Short() {
		seeds = min(seeds, 30)
	}
	var total Report
	for seed := *flagFirst; seed < *flagFirst+uint64(seeds); seed++ {
		r, err := Run(Options{Seed: seed})
		if err != nil {
			t.Errorf("%v\nreplay: go test ./internal/sim/rewinds -run TestSeeds -seed=%d", err, seed)
		}
		total.add(r)
	}
	t.Logf("%d seeds: %+v", seeds, total)
	if total.Losses < seeds || total.Gone < 3*seeds || total.Orphans < seeds || total.Again < seeds || total.Missing < seeds/30 {
		t.Errorf("the runs meet too little of what they are for: %+v", total)
	}
}

func (r *Report) add(o Report) {
	r.Events += o.Events
	r.Sent += o.Sent
	r.Crashes += o.Crashes
	r.Losses += o.Losses
	r.Gone += o.Gone
	r.Lost += o.Lost
	r.Orphans += o.Orphans
	r.Again += o.Again
	r.Missing += o.Missing
}

// TestDefectsAreFound: each deliberate mistake is noticed within some seeds.
func TestDefectsAreFound(t *testing.T) {
	for d := GenerationsIgnored; d < defects; d++ {
		t.Run(d.String(), func(t *testing.T) {
			for seed := uint64(1); seed <= 100; seed++ {
				if _, err := Run(Options{Seed: seed, Defect: d}); err != nil {
					t.Log(err)
					return
				}
			}
			t.Errorf("100 seeds did not find it")
		})
	}
}

// TestRunsAreTheSame: a seed makes the same run each time.
func TestRunsAreTheSame(t *testing.T) {
	for seed := *flagFirst; seed < *flagFirst+8; seed++ {
		var traces [2]bytes.Buffer
		for i := range traces {
			if _, err := Run(Options{Seed: seed, Trace: &traces[i]}); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(traces[0].Bytes(), traces[1].Bytes()) {
			t.Errorf("two runs of seed %d differ: %d and %d bytes of trace", seed, traces[0].Len(), traces[1].Len())
		}
	}
}

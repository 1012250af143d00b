package sim

import (
	"bytes"
	"flag"
	"fmt"
	"testing"
)

var (
	flagSeeds = flag.Int("seeds", 1000, "how many seeds to run")
	flagSeed  = flag.Uint64("seed", 0, "run this seed only, and print its trace when it fails")
)

func TestSeeds(t *testing.T) {
	if *flagSeed != 0 {
		replay(t, *flagSeed, None)
		return
	}
	for seed := uint64(1); seed <= uint64(*flagSeeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			if _, err := Run(Options{Seed: seed}); err != nil {
				t.Errorf("%v\nreplay: go test ./internal/sim -run TestSeeds -seed=%d", err, seed)
			}
		})
	}
}

func replay(t *testing.T, seed uint64, d Defect) {
	t.Helper()
	var trace bytes.Buffer
	r, err := Run(Options{Seed: seed, Defect: d, Trace: &trace})
	t.Logf("%+v", r)
	if err != nil {
		t.Fatalf("%s\n%v", trace.Bytes(), err)
	}
}

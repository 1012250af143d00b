package sim

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// mostSeeds is how many seeds may be needed to find a defect.
const mostSeeds = 300

// Each deliberate defect is found, on seeds that pass without it.
func TestDefectsAreFound(t *testing.T) {
	var mu sync.Mutex
	table := make([]string, defects)
	t.Run("all", func(t *testing.T) {
		for d := None + 1; d < defects; d++ {
			t.Run(d.String(), func(t *testing.T) {
				t.Parallel()
				seeds, err := find(t, d)
				mu.Lock()
				defer mu.Unlock()
				table[d] = fmt.Sprintf("%-40s %3d  %v", d, seeds, err)
			})
		}
	})
	t.Logf("defect, seeds needed, how it was found:\n%s", strings.Join(table[1:], "\n"))
}

// find returns how many seeds it takes to find a defect, and what was found.
func find(t *testing.T, d Defect) (uint64, error) {
	t.Helper()
	for seed := uint64(1); seed <= mostSeeds; seed++ {
		_, err := Run(Options{Seed: seed, Defect: d})
		if err == nil {
			continue
		}
		if _, err := Run(Options{Seed: seed}); err != nil {
			t.Fatalf("seed %d fails without the defect too: %v", seed, err)
		}
		return seed, err
	}
	t.Fatalf("not found in %d seeds", mostSeeds)
	return 0, nil
}

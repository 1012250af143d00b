package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/store/redis/redistest"
)

// needRedis skips a test where no Redis is installed, unless it must be.
func needRedis(t *testing.T) {
	t.Helper()
	if _, err := redistest.Find(); errors.Is(err, redistest.ErrMissing) && os.Getenv("TEST_NEED_REDIS") == "" {
		t.Skip(err)
	}
}

// TestScale runs the scaling experiment, small, on one node and on two, over each
// store that they can share.
func TestScale(t *testing.T) {
	t.Parallel()
	for store, need := range map[string]func(*testing.T){"redis": needRedis, "postgres": needPostgres} {
		t.Run(store, func(t *testing.T) {
			need(t)
			scale(t, store)
		})
	}
}

func scale(t *testing.T, store string) {
	var out string
	var err error
	patience.Until(t, "the store answers", func() (bool, any) {
		out, err = run(t, "", "bench", "scale", "--store", store, "--nodes", "1,2", "--users", "60", "--friends", "6", "--messages", "3", "--json", "-")
		return !storeIsSlow(err), err
	})
	if err != nil {
		t.Fatal(err)
	}
	var res struct {
		Good bool
		Runs []struct {
			Nodes int
			Acked uint64
			CPU   map[string]float64 `json:"cpu_us_per_msg_by_role"`
		}
	}
	if err := json.Unmarshal([]byte(out), &res); err != nil {
		t.Fatal(err)
	}
	if !res.Good || len(res.Runs) != 2 || res.Runs[1].Nodes != 2 || res.Runs[1].Acked == 0 {
		t.Fatalf("%s", out)
	}
	if _, ok := res.Runs[1].CPU[store]; !ok {
		t.Errorf("what the store used is not told: %v", res.Runs[1].CPU)
	}
}

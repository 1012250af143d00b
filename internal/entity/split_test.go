package entity

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/skein-im/skein/internal/im"
)

// Every split adds up, and every share has at least a cent, whatever is drawn.
func TestSplitAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 600).Draw(t, "shares")
		total := im.Cents(rapid.Int64Range(int64(n), int64(im.MaxMoney)).Draw(t, "total"))
		if rapid.Bool().Draw(t, "tight") {
			total = im.Cents(n + rapid.IntRange(0, 5).Draw(t, "over"))
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		draws := map[string]func(int64) int64{
			"random": rng.Int64N, "lowest": func(int64) int64 { return 0 }, "highest": func(n int64) int64 { return n - 1 },
		}
		for what, draw := range draws {
			for rule := im.SplitEqual; rule <= im.SplitRandom; rule++ {
				checkSplit(t, split(total, n, rule, draw), total, n, rule, what)
			}
		}
	})
}

func checkSplit(t *rapid.T, shares []im.Cents, total im.Cents, n int, rule im.SplitRule, what string) {
	sum := im.Cents(0)
	for _, c := range shares {
		if c < 1 || rule == im.SplitEqual && (c < total/im.Cents(n) || c > total/im.Cents(n)+1) {
			t.Fatalf("%s: a share of %d cents of %d in %d", what, c, total, n)
		}
		sum += c
	}
	if sum != total || len(shares) != n {
		t.Fatalf("%s: %d shares of %d cents, want %d of %d", what, len(shares), sum, n, total)
	}
}

// Every position has the same expectation: the means lie within four and a half
// standard errors of total/n, and the spread at every position is that of one
// uniform split.
func TestRandomSplitIsFair(t *testing.T) {
	const rounds = 40_000
	for _, test := range []struct {
		total im.Cents
		n     int
	}{{100, 10}, {1000, 3}, {20, 19}, {5000, 50}} {
		rng := rand.New(rand.NewPCG(1, uint64(test.n)))
		sum, squares := make([]float64, test.n), make([]float64, test.n)
		for range rounds {
			for i, c := range split(test.total, test.n, im.SplitRandom, rng.Int64N) {
				sum[i] += float64(c)
				squares[i] += float64(c) * float64(c)
			}
		}
		mean := float64(test.total) / float64(test.n)
		// The variance of a part of a uniform composition of T into n.
		T, n := float64(test.total), float64(test.n)
		variance := T * (T - n) * (n - 1) / (n * n * (n + 1))
		for i := range sum {
			got := sum[i] / rounds
			if bound := 4.5 * math.Sqrt(variance/rounds); math.Abs(got-mean) > bound {
				t.Errorf("%d cents in %d: position %d gets %.3f on average, want %.3f within %.3f", test.total, test.n, i, got, mean, bound)
			}
			if v := squares[i]/rounds - got*got; math.Abs(v/variance-1) > 0.1 {
				t.Errorf("%d cents in %d: position %d varies by %.2f, want %.2f", test.total, test.n, i, v, variance)
			}
		}
	}
}

// Every split is as likely as any other: there are C(6,2)=15 of 7 cents into
// three.
func TestEverySplitIsEquallyLikely(t *testing.T) {
	const rounds = 150_000
	rng := rand.New(rand.NewPCG(7, 7))
	seen := map[[3]im.Cents]int{}
	for range rounds {
		seen[[3]im.Cents(split(7, 3, im.SplitRandom, rng.Int64N))]++
	}
	chi := 0.0
	for _, n := range seen {
		d := float64(n) - rounds/15.0
		chi += d * d / (rounds / 15.0)
	}
	// 14 degrees of freedom: above 36.1 once in a thousand.
	if len(seen) != 15 || chi > 36.1 {
		t.Fatalf("%d splits, chi square %.1f: %v", len(seen), chi, seen)
	}
}

// The cents that are left over fall on every position alike.
func TestEqualSplitIsFair(t *testing.T) {
	const rounds = 50_000
	rng := rand.New(rand.NewPCG(3, 3))
	var sum [7]float64
	for range rounds {
		for i, c := range split(24, 7, im.SplitEqual, rng.Int64N) {
			sum[i] += float64(c)
		}
	}
	for i, s := range sum {
		if math.Abs(s/rounds-24.0/7) > 0.012 {
			t.Errorf("position %d gets %.4f on average, want %.4f", i, s/rounds, 24.0/7)
		}
	}
}

// Blocks of a campaign together make the total, and each can give every
// envelope a cent.
func TestPortions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint32Range(1, im.MaxCampaign).Draw(t, "count")
		total := im.Cents(rapid.Int64Range(int64(n), int64(im.MaxMoney)).Draw(t, "total"))
		at := rapid.Uint32Range(0, n).Draw(t, "from")
		to := rapid.Uint32Range(at, n).Draw(t, "to")
		if got := portion(total, to, n) - portion(total, at, n); got < im.Cents(to-at) {
			t.Fatalf("%d envelopes get %d cents of %d for %d", to-at, got, total, n)
		}
		if portion(total, n, n) != total || portion(total, 0, n) != 0 {
			t.Fatal("the portions do not make the total")
		}
	})
}

func BenchmarkSplit500(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	for b.Loop() {
		split(1_000_000, 500, im.SplitRandom, rng.Int64N)
	}
}

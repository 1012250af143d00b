package telemetry

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestHeavyFindsWhoTalksMost(t *testing.T) {
	h := NewHeavy()
	r := rand.New(rand.NewPCG(1, 2))
	h.pick = func() bool { return r.IntN(heavySample) == 0 }
	at := time.Unix(1000, 0)
	const n = 200_000
	for i := range n {
		switch {
		case i%10 == 0:
			h.Saw(7, at)
		case i%20 == 1:
			h.Saw(8, at)
		default:
			h.Saw(1000+r.Uint64N(1e6), at)
		}
	}
	top := h.Top(5, at.Add(10*time.Second))
	if len(top.Top) != 5 || top.Top[0].Key != 7 || top.Top[1].Key != 8 || len(h.now.hitters) != heavyKeys {
		t.Fatalf("%+v", top)
	}
	for i, want := range []uint64{n / 10, n / 20} {
		x := top.Top[i]
		if x.Count+x.Count/10 < want || x.Count-x.Error > want+want/10 {
			t.Errorf("%+v, want about %d", x, want)
		}
	}
	if top.Total < n*9/10 || top.Total > n*11/10 || top.Seconds != 10 {
		t.Errorf("%d in %g s", top.Total, top.Seconds)
	}
	// What was long ago does not count any more.
	if old := h.Top(5, at.Add(70*time.Second)); len(old.Top) != 5 {
		t.Errorf("%+v", old)
	}
	if old := h.Top(5, at.Add(300*time.Second)); len(old.Top) != 0 || old.Total != 0 {
		t.Errorf("%+v", old)
	}
}

func TestHittersOfSeveralProcessesAreMerged(t *testing.T) {
	all := MergeHitters(2, Hitters{Seconds: 60, Total: 10, Top: []Hitter{{1, 5, 0}, {2, 3, 1}}}, Hitters{Seconds: 70, Total: 20, Top: []Hitter{{2, 4, 1}, {3, 1, 0}}})
	if all.Total != 30 || all.Seconds != 70 || len(all.Top) != 2 || all.Top[0] != (Hitter{2, 7, 2}) || all.Top[1] != (Hitter{1, 5, 0}) {
		t.Errorf("%+v", all)
	}
}

// Users of whom no two are alike are the worst case.
func BenchmarkHeavy(b *testing.B) {
	h, at := NewHeavy(), time.Unix(1000, 0)
	b.ReportAllocs()
	for i := range b.N {
		h.Saw(uint64(i), at)
	}
}

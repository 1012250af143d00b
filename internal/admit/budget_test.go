package admit

import (
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// What the leaves hold is what the root holds, and no limit is passed.
func TestBudgetTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := func(name string) int64 { return int64(rapid.IntRange(0, 100).Draw(t, name)) }
		root := NewBudget(nil, limit("root"))
		loops := []*Budget{NewBudget(root, limit("loop")), NewBudget(root, limit("loop"))}
		var conns []*Budget
		var held []int
		for i := range 4 {
			conns = append(conns, NewBudget(loops[i%2], limit("conn")))
			held = append(held, 0)
		}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			i, n := rapid.IntRange(0, 3).Draw(t, "conn"), rapid.IntRange(0, 60).Draw(t, "bytes")
			if held[i] >= n && rapid.Bool().Draw(t, "give") {
				conns[i].Give(n)
				held[i] -= n
				continue
			}
			all := held[0] + held[1] + held[2] + held[3]
			fits := int64(held[i]+n) <= conns[i].limit && int64(held[i]+held[(i+2)%4]+n) <= loops[i%2].limit && int64(all+n) <= root.limit
			if got := conns[i].TryTake(n); got != fits {
				t.Fatalf("%d bytes: %v", n, got)
			} else if got {
				held[i] += n
			}
		}
		if st := root.Stats(); st.Used != int64(held[0]+held[1]+held[2]+held[3]) || st.Peak > st.Limit {
			t.Fatalf("%v bytes are held, %+v", held, st)
		}
		for _, c := range conns {
			c.Close()
		}
		if used := root.Stats().Used; used != 0 {
			t.Fatalf("%d bytes are left", used)
		}
	})
}

func TestBudgetConcurrent(t *testing.T) {
	root := NewBudget(nil, 100)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			conn := NewBudget(root, 60)
			for range 10_000 {
				if conn.TryTake(30) {
					if used := root.Stats().Used; used > 100 {
						t.Errorf("%d bytes are taken", used)
						return
					}
					conn.Give(30)
				}
			}
		})
	}
	wg.Wait()
	if used := root.Stats().Used; used != 0 {
		t.Errorf("%d bytes are left", used)
	}
}

func BenchmarkBudget(b *testing.B) {
	process := NewBudget(nil, 1<<40)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		conn := NewBudget(NewBudget(process, 1<<30), 1<<20)
		for pb.Next() {
			conn.TryTake(100)
			conn.Give(100)
		}
	})
}

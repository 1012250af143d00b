package admit

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/skein-im/skein/internal/im"
)

func device(n int) Key { return DeviceKey(im.UserID(n), 1) }

// A bucket behaves as the textbook has it, while there is room in the table.
func TestBucketsMatchTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const rate, burst = 10, 5
		b := NewBuckets(BucketsConfig{Rate: rate, Burst: burst, Size: 10_000})
		type bucket struct {
			tokens float64
			at     time.Duration
		}
		model := map[int]*bucket{}
		now := time.Duration(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * 10 * time.Millisecond
			key, n := rapid.IntRange(1, 5).Draw(t, "key"), rapid.IntRange(1, burst+2).Draw(t, "tokens")
			m := model[key]
			if m == nil {
				m = &bucket{burst, now}
				model[key] = m
			}
			m.tokens = min(burst, m.tokens+rate*(now-m.at).Seconds())
			m.at = now
			need := float64(min(n, burst))
			wait := b.Take(now, device(key), n)
			if ok := m.tokens >= need-1e-6; ok != (wait == 0) {
				t.Fatalf("%v tokens, asked for %v: wait %v", m.tokens, need, wait)
			}
			if wait == 0 {
				m.tokens -= need
			} else if want := (need - m.tokens) / rate; wait.Seconds() < want-1e-6 || wait.Seconds() > want+1e-6 {
				t.Fatalf("wait %v, want %v s", wait, want)
			}
		}
	})
}

// Whoever floods the table with keys neither gets a new bucket of a key nor
// keeps others out.
func TestBucketsFull(t *testing.T) {
	const size = 64
	b := NewBuckets(BucketsConfig{Rate: 1, Burst: 10, Size: size})
	now := time.Duration(0)
	granted := 0
	for range 100 {
		for k := range size * 20 {
			if b.Take(now, device(k), 1) == 0 {
				granted++
			}
		}
		now += 10 * time.Millisecond
	}
	// Every place and every shared bucket, once full and refilled for 1 s.
	if most := (size + size/ways) * 11; granted > most {
		t.Errorf("%d requests were granted, at most %d can be", granted, most)
	}
	if st := b.Stats(); st.Shared == 0 || st.Refused == 0 {
		t.Errorf("%+v", st)
	}
	// A newcomer shares a bucket, so it gets on even while the others stay.
	waited := time.Duration(0)
	for {
		wait := b.Take(now, device(1<<30), 1)
		if wait == 0 {
			break
		}
		waited += wait
		now += wait
	}
	if waited > 2*time.Second {
		t.Errorf("a newcomer waited for %v", waited)
	}
}

func TestBucketsWithoutLimit(t *testing.T) {
	b := NewBuckets(BucketsConfig{})
	for range 1000 {
		if b.Take(0, device(1), 100) != 0 {
			t.Fatal("refused")
		}
	}
}

func BenchmarkTake(b *testing.B) {
	buckets := NewBuckets(BucketsConfig{Rate: 1e6, Burst: 100, Size: 1 << 16})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		now := time.Duration(0)
		for i := 0; pb.Next(); i++ {
			now += 1000
			buckets.Take(now, device(i%10_000), 1)
		}
	})
}

package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/google/go-cmp/cmp"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// A script is what one owner writes: an endless list of batches that is the
// same for the same seed, so that from the number of the last batch found in a
// store follows everything else that must be in it.
type script struct {
	rng   *rand.Rand
	addrs []im.Addr // the first is in every batch and holds its number
	seqs  []im.Seq
	n     int // batches made
}

const scriptEntities = 5

func newScript(seed uint64, owner, owners int) *script {
	s := &script{rng: rand.New(rand.NewPCG(seed, uint64(owner))), seqs: make([]im.Seq, scriptEntities)}
	for id := im.UserID(1); len(s.addrs) < scriptEntities; id++ {
		if a := im.User(id); int(a.Slot())%owners == owner {
			s.addrs = append(s.addrs, a)
		}
	}
	return s
}

// next makes the next batch.
func (s *script) next(epochs []im.Epoch) *store.Batch {
	s.n++
	b := &store.Batch{}
	for i, a := range s.addrs {
		if i > 0 && s.rng.IntN(2) == 0 {
			continue
		}
		c := store.Change{Addr: a, First: s.seqs[i] + 1, Pending: store.Mark(s.rng.IntN(3))}
		if epochs != nil {
			c.Epoch = epochs[a.Slot()]
		}
		for range s.rng.IntN(4) {
			s.seqs[i]++
			text := fmt.Sprintf("%v/%d in batch %d;", a, s.seqs[i], s.n)
			c.Append = append(c.Append, bytes.Repeat([]byte(text), 1+s.rng.IntN(60)))
		}
		c.Put = []store.Record{{Key: "batch", Value: strconv.AppendInt(nil, int64(s.n), 10)}}
		if key := "k" + strconv.Itoa(s.rng.IntN(4)); s.rng.IntN(2) == 0 {
			c.Put = append(c.Put, store.Record{Key: key, Value: c.Put[0].Value})
		} else {
			c.Delete = []string{key}
		}
		b.Changes = append(b.Changes, c)
	}
	return b
}

// skip makes n batches and returns what they leave behind.
func (s *script) skip(n int) map[im.Addr]*contents {
	all := map[im.Addr]*contents{}
	for _, a := range s.addrs {
		all[a] = &contents{Records: map[string]string{}}
	}
	for range n {
		for _, c := range s.next(nil).Changes {
			all[c.Addr].apply(&c)
		}
	}
	return all
}

// contents are what an entity holds.
type contents struct {
	Records map[string]string
	Log     [][]byte
	Pending bool
}

func (e *contents) apply(c *store.Change) {
	e.Log = append(e.Log, c.Append...)
	for _, r := range c.Put {
		e.Records[r.Key] = string(r.Value)
	}
	for _, key := range c.Delete {
		delete(e.Records, key)
	}
	if c.Pending != store.Keep {
		e.Pending = c.Pending == store.Set
	}
}

func (e *contents) equal(other *contents) bool {
	return maps.Equal(e.Records, other.Records) && slices.EqualFunc(e.Log, other.Log, bytes.Equal) && e.Pending == other.Pending
}

// readContents reads everything about an entity, the log in two ways.
func readContents(s store.Store, a im.Addr) (*contents, error) {
	ctx := context.Background()
	e := &contents{Records: map[string]string{}}
	ent, err := s.Load(ctx, a, func([]store.Record) im.Seq { return 0 })
	if err != nil {
		return nil, err
	}
	for _, r := range ent.Records {
		e.Records[r.Key] = string(r.Value)
	}
	for i, entry := range ent.Tail {
		if entry.Seq != im.Seq(i+1) {
			return nil, fmt.Errorf("entry %d of %v has sequence %d", i+1, a, entry.Seq)
		}
		e.Log = append(e.Log, entry.Value)
	}
	half := im.Seq(len(ent.Tail)/2 + 1)
	rest, err := s.ReadLog(ctx, a, half, 1<<20, 1<<30)
	if err != nil {
		return nil, err
	}
	if !slices.EqualFunc(ent.Tail[half-1:], rest, func(x, y store.Entry) bool {
		return x.Seq == y.Seq && bytes.Equal(x.Value, y.Value)
	}) {
		return nil, fmt.Errorf("Load and ReadLog of %v disagree", a)
	}
	pending, err := s.Pending(ctx, a.Slot())
	e.Pending = slices.Contains(pending, a)
	return e, err
}

// acquireScripts makes the test the owner of the slots that scripts write to,
// and returns the epochs by slot.
func acquireScripts(s store.Store, owners int) ([]im.Epoch, error) {
	var slots []im.Slot
	for owner := range owners {
		for _, a := range newScript(0, owner, owners).addrs {
			if !slices.Contains(slots, a.Slot()) {
				slots = append(slots, a.Slot())
			}
		}
	}
	got, err := s.Acquire(context.Background(), "test", slots)
	if err != nil {
		return nil, err
	}
	epochs := make([]im.Epoch, im.Slots)
	for i, slot := range slots {
		epochs[slot] = got[i]
	}
	return epochs, nil
}

// progress is how far owners have come.
type progress struct {
	acked, begun []atomic.Int64
}

func newProgress(owners int) *progress {
	return &progress{acked: make([]atomic.Int64, owners), begun: make([]atomic.Int64, owners)}
}

func values(xs []atomic.Int64) []int {
	vs := make([]int, len(xs))
	for i := range xs {
		vs[i] = int(xs[i].Load())
	}
	return vs
}

// write lets the owners commit their batches at the same time, from their
// from-th to their to-th, until one fails. It returns the first error of each.
func write(s store.Store, epochs []im.Epoch, seed uint64, from []int, to int, p *progress) []error {
	errs := make([]error, len(from))
	var wg sync.WaitGroup
	for owner := range from {
		wg.Go(func() {
			sc := newScript(seed, owner, len(from))
			sc.skip(from[owner])
			for sc.n < to && errs[owner] == nil {
				b := sc.next(epochs)
				p.begun[owner].Store(int64(sc.n))
				if errs[owner] = s.Commit(context.Background(), b); errs[owner] == nil {
					p.acked[owner].Store(int64(sc.n))
				}
			}
		})
	}
	wg.Wait()
	return errs
}

var (
	errLost  = errors.New("an acknowledged batch is lost")
	errWrong = errors.New("the store does not hold a prefix of what was written")
)

// verify checks that a store holds, of every owner, all acknowledged batches
// and, as a whole, a prefix of those begun. It returns how many.
func verify(s store.Store, seed uint64, acked, begun []int) ([]int, error) {
	found := make([]int, len(acked))
	for owner := range acked {
		sc := newScript(seed, owner, len(acked))
		first, err := readContents(s, sc.addrs[0])
		if err != nil {
			return nil, err
		}
		if n, ok := first.Records["batch"]; ok {
			if found[owner], err = strconv.Atoi(n); err != nil {
				return nil, err
			}
		}
		if found[owner] < acked[owner] {
			return nil, fmt.Errorf("%w: owner %d got the answer to batch %d, and %d is the last there", errLost, owner, acked[owner], found[owner])
		}
		if found[owner] > begun[owner] {
			return nil, fmt.Errorf("%w: owner %d began %d batches, and %d is there", errWrong, owner, begun[owner], found[owner])
		}
		want := sc.skip(found[owner])
		for _, a := range slices.SortedFunc(maps.Keys(want), func(a, b im.Addr) int { return int(a.ID) - int(b.ID) }) {
			got, err := readContents(s, a)
			if err != nil {
				return nil, err
			}
			if !want[a].equal(got) {
				return nil, fmt.Errorf("%w: %v after batch %d: -want +got\n%.2000s", errWrong, a, found[owner], cmp.Diff(want[a], got))
			}
		}
	}
	return found, nil
}

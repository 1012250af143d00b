package storetest

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// ShardUsers is how many users the shards of a benchmark have between them.
const ShardUsers = 10000

// Shard commits what a mailbox does for some users, for benchmarks: each message
// appends some 350 bytes to the logs of two of them.
type Shard struct {
	Users []im.Addr
	// Seqs are the last sequences of their logs.
	Seqs []im.Seq
	// Heads has every change write a record as well.
	Heads bool
	// Took is how long the commits have taken.
	Took []time.Duration

	store  store.Store
	epochs []im.Epoch
	rng    *rand.Rand
	text   []byte
}

// NewShards makes shards that own all slots of a store.
func NewShards(b *testing.B, s store.Store, shards int) []*Shard {
	b.Helper()
	epochs := AcquireAll(b, s)
	all := make([]*Shard, shards)
	for i := range all {
		all[i] = newShard(s, epochs, i, shards)
	}
	return all
}

func newShard(s store.Store, epochs []im.Epoch, shard, shards int) *Shard {
	w := &Shard{store: s, epochs: epochs, rng: rand.New(rand.NewPCG(1, uint64(shard)))}
	for i := 1; i <= ShardUsers; i++ {
		if a := im.User(im.UserID(i)); int(a.Slot())%shards == shard {
			w.Users = append(w.Users, a)
		}
	}
	w.Seqs = make([]im.Seq, len(w.Users))
	w.text = make([]byte, 1<<16)
	for i := 0; i < len(w.text); i += 8 { // half random, half repeated
		binary.LittleEndian.PutUint32(w.text[i:], w.rng.Uint32())
		copy(w.text[i+4:], "text")
	}
	return w
}

// RunShards has shards commit some messages between them, so many in a batch.
func RunShards(b *testing.B, shards []*Shard, messages, batch int) {
	b.Helper()
	var wg sync.WaitGroup
	for _, w := range shards {
		wg.Go(func() { w.run(b, (messages+len(shards)-1)/len(shards), batch) })
	}
	wg.Wait()
}

func (w *Shard) run(b *testing.B, messages, size int) {
	for n := 0; n < messages; n += size {
		batch := w.batch(min(size, messages-n))
		began := time.Now()
		if err := w.store.Commit(context.Background(), batch); err != nil {
			b.Error(err)
			return
		}
		w.Took = append(w.Took, time.Since(began))
	}
}

// batch folds the changes of one entity together, as a mailbox does.
func (w *Shard) batch(messages int) *store.Batch {
	b := &store.Batch{Changes: make([]store.Change, 0, 2*messages)}
	index := make(map[int]int, 2*messages)
	for range 2 * messages {
		u := w.rng.IntN(len(w.Users))
		at := w.rng.IntN(len(w.text) - 350)
		i, ok := index[u]
		if !ok {
			a := w.Users[u]
			i = len(b.Changes)
			index[u] = i
			b.Changes = append(b.Changes, store.Change{Addr: a, Epoch: w.epochs[a.Slot()], First: w.Seqs[u] + 1})
			if w.Heads {
				b.Changes[i].Put = []store.Record{{Key: "h", Value: w.text[at : at+40]}}
			}
		}
		b.Changes[i].Append = append(b.Changes[i].Append, w.text[at:at+350])
		w.Seqs[u]++
	}
	return b
}

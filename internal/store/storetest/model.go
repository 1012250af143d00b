package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// testModel runs random commits, fenced and not, and reads against the store
// and a model of it. Every run has entities of its own in the one store.
func testModel(e *env) {
	runs := uint64(0)
	rapid.Check(e.t, func(t *rapid.T) {
		runs++
		r := &modelRun{env: &env{TB: t, t: e.t, s: e.s, epochs: map[im.Slot]im.Epoch{}}, stale: map[im.Slot]im.Epoch{}}
		r.addEntities(runs << 32)
		t.Repeat(map[string]func(*rapid.T){
			"commit":  r.commitSome,
			"acquire": r.reacquire,
			"readLog": r.checkLog,
			"load":    r.checkLoad,
			"pending": r.checkPending,
		})
		for i := range r.ents {
			got := r.log(r.ents[i].addr)
			r.equal("log at the end", got, r.ents[i].read(r.ents[i].start(1, got), 1<<30, 1<<30))
			r.equal("records at the end", r.records(r.ents[i].addr), r.ents[i].records())
		}
	})
}

// modelEntity is what an entity must hold.
type modelEntity struct {
	addr    im.Addr
	recs    map[string][]byte
	log     [][]byte
	trimmed im.Seq // up to here, entries may be gone
	pending bool
}

func (m *modelEntity) records() []store.Record {
	var recs []store.Record
	for _, key := range slices.Sorted(maps.Keys(m.recs)) {
		recs = append(recs, store.Record{Key: key, Value: m.recs[key]})
	}
	return recs
}

func (m *modelEntity) read(from im.Seq, limit, maxBytes int) []store.Entry {
	var es []store.Entry
	size := 0
	for seq := from; seq >= 1 && int(seq) <= len(m.log) && len(es) < limit && size <= maxBytes; seq++ {
		es = append(es, store.Entry{Seq: seq, Value: m.log[seq-1]})
		size += len(m.log[seq-1])
	}
	return es
}

// start is where a read of what follows from begins: later, where entries are
// gone, but no later than trimming allows.
func (m *modelEntity) start(from im.Seq, got []store.Entry) im.Seq {
	if from == 0 || from > m.trimmed {
		return from
	}
	if len(got) > 0 && got[0].Seq >= from && got[0].Seq <= m.trimmed+1 {
		return got[0].Seq
	}
	return m.trimmed + 1
}

func (m *modelEntity) apply(c *store.Change) {
	m.log = append(m.log, c.Append...)
	m.trimmed = max(m.trimmed, min(max(c.Trim, 1)-1, im.Seq(len(m.log))))
	for _, r := range c.Put {
		m.recs[r.Key] = r.Value
	}
	for _, key := range c.Delete {
		delete(m.recs, key)
	}
	if c.Pending != store.Keep {
		m.pending = c.Pending == store.Set
	}
}

// modelRun is one random run.
type modelRun struct {
	*env
	ents  []modelEntity
	stale map[im.Slot]im.Epoch // the epoch before the current one
	salt  int
}

// addEntities makes entities of which some share a slot.
func (r *modelRun) addEntities(from uint64) {
	addrs := append(sameSlot(from, 2), otherSlots(from+1, 3)...)
	addrs = append(addrs, im.Addr{Kind: im.KindName, ID: from})
	r.own(addrs...)
	for i, a := range addrs {
		if slices.Contains(addrs[:i], a) {
			continue
		}
		r.ents = append(r.ents, modelEntity{addr: a, recs: map[string][]byte{}})
	}
}

// reacquire changes the owner of one entity's slot.
func (r *modelRun) reacquire(t *rapid.T) {
	slot := rapid.SampledFrom(r.ents).Draw(t, "entity").addr.Slot()
	epoch := r.acquire("another", slot)[0]
	if epoch <= r.epochs[slot] {
		t.Fatalf("slot %d got epoch %d after %d", slot, epoch, r.epochs[slot])
	}
	r.stale[slot], r.epochs[slot] = r.epochs[slot], epoch
}

// commitSome commits a batch, now and then with an old epoch for a slot.
func (r *modelRun) commitSome(t *rapid.T) {
	var b store.Batch
	fenced := map[im.Slot]bool{}
	for _, slot := range slices.Sorted(maps.Keys(r.stale)) {
		fenced[slot] = r.stale[slot] != 0 && rapid.IntRange(0, 4).Draw(t, "stale") == 0
	}
	after := slices.Clone(r.ents)
	for i := range after {
		after[i].recs = maps.Clone(after[i].recs)
	}
	refused := map[im.Slot]bool{}
	for range rapid.IntRange(1, 6).Draw(t, "changes") {
		m := &after[rapid.IntRange(0, len(after)-1).Draw(t, "entity")]
		c := r.drawChange(t, m)
		if slot := m.addr.Slot(); fenced[slot] {
			c.Epoch, refused[slot] = r.stale[slot], true
		} else {
			m.apply(&c)
		}
		b.Changes = append(b.Changes, c)
	}
	if len(refused) > 0 {
		r.commitFenced(slices.Collect(maps.Keys(refused)), b.Changes...)
	} else {
		r.commit(b.Changes...)
	}
	r.ents = after
}

func (r *modelRun) drawChange(t *rapid.T, m *modelEntity) store.Change {
	c := r.change(m.addr)
	keys := rapid.SampledFrom([]string{"a", "ab", "b", "c\x00", "d"})
	c.First = im.Seq(len(m.log) + 1)
	for range rapid.IntRange(0, 4).Draw(t, "entries") {
		c.Append = append(c.Append, r.drawValue(t, 0, 1, 30, 300, 9000, 40000))
	}
	if rapid.IntRange(0, 3).Draw(t, "trims") == 0 {
		c.Trim = im.Seq(rapid.IntRange(0, len(m.log)+len(c.Append)+1).Draw(t, "trim"))
	}
	for range rapid.IntRange(0, 3).Draw(t, "puts") {
		c.Put = append(c.Put, store.Record{Key: keys.Draw(t, "key"), Value: r.drawValue(t, 0, 5, 2000)})
	}
	if rapid.Bool().Draw(t, "delete") {
		c.Delete = []string{keys.Draw(t, "key"), "missing"}
	}
	c.Pending = store.Mark(rapid.IntRange(0, 2).Draw(t, "mark"))
	return c
}

// drawValue makes a value of one of the sizes that occurs nowhere else.
func (r *modelRun) drawValue(t *rapid.T, sizes ...int) []byte {
	r.salt++
	size := rapid.SampledFrom(sizes).Draw(t, "size")
	return bytes.Repeat([]byte(fmt.Sprintf("%d.", r.salt)), size/2+1)[:size]
}

func (r *modelRun) checkLog(t *rapid.T) {
	m := rapid.SampledFrom(r.ents).Draw(t, "entity")
	from := im.Seq(rapid.IntRange(0, len(m.log)+2).Draw(t, "from"))
	limit := rapid.SampledFrom([]int{0, 1, 2, 3, 100}).Draw(t, "limit")
	maxBytes := rapid.SampledFrom([]int{0, 1, 300, 10000, 1 << 20}).Draw(t, "maxBytes")
	got := r.readLog(m.addr, from, limit, maxBytes)
	r.equal("log", got, m.read(m.start(from, got), limit, maxBytes))
}

func (r *modelRun) checkLoad(t *rapid.T) {
	m := rapid.SampledFrom(r.ents).Draw(t, "entity")
	tail := im.Seq(rapid.IntRange(int(m.trimmed), len(m.log)+1).Draw(t, "tail"))
	ent, err := r.s.Load(t.Context(), m.addr, func([]store.Record) im.Seq { return tail })
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	r.equal("records", ent.Records, m.records())
	r.equal("tail", ent.Tail, m.read(tail+1, 1<<30, 1<<30))
}

func (r *modelRun) checkPending(t *rapid.T) {
	slot := rapid.SampledFrom(r.ents).Draw(t, "entity").addr.Slot()
	got := map[im.Addr]bool{}
	for _, a := range r.pending(slot) {
		if got[a] {
			t.Fatalf("%v is listed twice", a)
		}
		got[a] = true
	}
	for i := range r.ents {
		if m := &r.ents[i]; m.addr.Slot() == slot && m.pending != got[m.addr] {
			t.Fatalf("%v is pending: %v, want %v", m.addr, got[m.addr], m.pending)
		}
	}
}

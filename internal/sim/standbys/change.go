package standbys

import (
	"cmp"
	"fmt"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// holding is a slot with the entities as the node knows them.
type holding struct {
	epoch    im.Epoch
	entities map[im.Addr]*subject
}

// subject is where an entity's log ends.
type subject struct {
	addr          im.Addr
	last, trimmed im.Seq
	saved         im.Seq
}

// snapshot: the record "s" says how much of the log the records include.
func snapshot(_ im.Addr, recs []store.Record) (seq im.Seq, err error) {
	for _, r := range recs {
		if r.Key == "s" {
			_, err = fmt.Sscan(string(r.Value), &seq)
		}
	}
	return seq, err
}

// change is a random change of an entity.
func (w *world) change(s *subject, epoch im.Epoch) (store.Change, []entry) {
	c := store.Change{Addr: s.addr, Epoch: epoch, First: s.last + 1}
	if w.gone[s.addr] {
		c.Pending = store.Clear
		return c, nil
	}
	if s.last == 0 && w.rng.IntN(4) == 0 {
		// A log that begins in the middle, as one that was moved here.
		c.First = 1 + im.Seq(w.rng.IntN(40))
		c.Trim, s.last, s.trimmed, s.saved = c.First, c.First-1, c.First-1, c.First-1
		c.Put = append(c.Put, store.Record{Key: "s", Value: fmt.Append(nil, s.saved)})
	}
	added := w.extend(s, &c)
	switch w.rng.IntN(10) {
	case 0, 1:
		w.save(s, &c)
	case 2, 3:
		c.Put = append(c.Put, store.Record{Key: fmt.Sprint("k", w.rng.IntN(3)), Value: fmt.Append(nil, w.rng.Uint32())})
	case 4:
		c.Delete = []string{fmt.Sprint("k", w.rng.IntN(3))}
	case 5:
		if w.rng.IntN(10) == 0 {
			w.remove(s, &c)
			return c, nil
		}
	}
	c.Pending = store.Mark(w.rng.IntN(3))
	return c, added
}

// extend appends to a log.
func (w *world) extend(s *subject, c *store.Change) (added []entry) {
	n := w.rng.IntN(4)
	if s.last == 0 || c.Trim > 0 {
		n++ // only what has a log or records can be marked
	}
	for range n {
		s.last++
		w.entries++
		value := fmt.Sprintf("entry %d", w.entries)
		c.Append = append(c.Append, []byte(value))
		added = append(added, entry{s.addr, s.last, value})
	}
	return added
}

// save writes a snapshot, and perhaps lets go of what it includes.
func (w *world) save(s *subject, c *store.Change) {
	s.saved = s.last
	c.Put = []store.Record{{Key: "s", Value: fmt.Append(nil, s.saved)}}
	if c.Trim > 0 || s.last <= s.trimmed || w.rng.IntN(2) == 0 {
		return
	}
	c.Trim = s.trimmed + 2 + im.Seq(w.rng.Int64N(int64(s.last-s.trimmed)))
	if w.rng.IntN(3) == 0 {
		c.Trim = s.last + 1
	}
	if c.Trim == c.First && len(c.Append) > 0 {
		c.Trim = 0 // that would mean something else
	} else {
		s.trimmed = c.Trim - 1
	}
}

// remove takes an entity away for good.
func (w *world) remove(s *subject, c *store.Change) {
	w.gone[s.addr] = true
	w.logf("%v is removed", s.addr)
	c.Put, c.Delete, c.Append = nil, []string{"s", "k0", "k1", "k2"}, nil
	c.Trim, c.Pending = cmp.Or(s.last, c.First-1)+1, store.Clear
}

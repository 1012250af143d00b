package redis

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/tenure"
)

// encoder writes the arguments of commit.lua.
type encoder struct {
	keys []string
	args []string
}

// encode makes the call that commits a part. Values are not copied.
func (s *Store) encode(p *tenure.Part) (*call, error) {
	changes, err := perEntity(p.Changes)
	if err != nil {
		return nil, err
	}
	size := 2
	for _, c := range changes {
		size += 12 + len(c.Append) + 2*len(c.Put) + len(c.Delete)
	}
	e := encoder{keys: make([]string, 1, 1+2*len(changes)), args: make([]string, 2, size)}
	e.keys[0], e.args[0] = s.keys.epoch(p.Slot), p.Tenure.Held
	if s.confirms() {
		e.args[1] = "touch"
	}
	e.writeAll(s.keys, p.Slot, changes)
	return &call{place: s.keys.places[p.Slot], script: s.scripts.commit, keys: e.keys, args: e.args}, nil
}

// writeAll puts operations in the order that commit.lua wants: what may remove
// a key comes after all that may make it.
func (e *encoder) writeAll(keys *keyspace, slot im.Slot, changes []*store.Change) {
	logs := make([]int, len(changes))
	for i, c := range changes {
		if len(c.Append) > 0 {
			logs[i] = e.key(keys.log(c.Addr))
			op := "append"
			if c.First > 1 && c.Trim == c.First {
				op = "begin"
			}
			e.op(op, logs[i], uint64(c.First), len(c.Append))
			for _, v := range c.Append {
				e.args = append(e.args, rueidis.BinaryString(v))
			}
		}
	}
	for i, c := range changes {
		if c.Trim > 1 {
			if logs[i] == 0 {
				logs[i] = e.key(keys.log(c.Addr))
			}
			e.op("trim", logs[i], uint64(c.Trim), 0)
		}
	}
	for _, c := range changes {
		if len(c.Put)+len(c.Delete) > 0 {
			e.writeRecords(e.key(keys.records(c.Addr)), c)
		}
	}
	e.writeMarks(keys, slot, changes)
}

func (e *encoder) writeRecords(key int, c *store.Change) {
	if len(c.Put) > 0 {
		e.op("put", key, 0, 2*len(c.Put))
		for _, r := range c.Put {
			e.args = append(e.args, r.Key, rueidis.BinaryString(r.Value))
		}
	}
	if len(c.Delete) > 0 {
		e.op("delete", key, 0, len(c.Delete))
		e.args = append(e.args, c.Delete...)
	}
}

func (e *encoder) writeMarks(keys *keyspace, slot im.Slot, changes []*store.Change) {
	var set, clear []string
	for _, c := range changes {
		switch c.Pending {
		case store.Set:
			set = append(set, string(appendEntity(nil, c.Addr)))
		case store.Clear:
			clear = append(clear, string(appendEntity(nil, c.Addr)))
		}
	}
	if len(set)+len(clear) == 0 {
		return
	}
	key := e.key(keys.pending(slot))
	if len(set) > 0 {
		e.op("mark", key, 0, len(set))
		e.args = append(e.args, set...)
	}
	if len(clear) > 0 {
		e.op("unmark", key, 0, len(clear))
		e.args = append(e.args, clear...)
	}
}

// key returns the index of a key, from 1, as Lua counts.
func (e *encoder) key(k string) int {
	e.keys = append(e.keys, k)
	return len(e.keys)
}

func (e *encoder) op(name string, key int, number uint64, args int) {
	e.args = append(e.args, name, strconv.Itoa(key), strconv.FormatUint(number, 10), strconv.Itoa(args))
}

// perEntity returns one change for each entity, in which no key is both put
// and deleted unless it came to be deleted last.
func perEntity(changes []*store.Change) ([]*store.Change, error) {
	merged := make([]*store.Change, 0, len(changes))
	for _, c := range changes {
		i := slices.IndexFunc(merged, func(m *store.Change) bool { return m.Addr == c.Addr })
		if i < 0 {
			merged = append(merged, c)
			continue
		}
		both, err := merge(merged[i], c)
		if err != nil {
			return nil, err
		}
		merged[i] = both
	}
	return merged, nil
}

// merge makes one change of two to the same entity.
func merge(a, b *store.Change) (*store.Change, error) {
	m := store.Change{Addr: a.Addr, Epoch: a.Epoch, First: a.First, Trim: max(a.Trim, b.Trim), Pending: a.Pending}
	if len(a.Append) == 0 {
		m.First = b.First
	} else if len(b.Append) > 0 && b.First != a.First+im.Seq(len(a.Append)) {
		return nil, fmt.Errorf("a batch appends %d entries to %v from %d and then some from %d", len(a.Append), a.Addr, a.First, b.First)
	}
	m.Append = slices.Concat(a.Append, b.Append)
	if b.Pending != store.Keep {
		m.Pending = b.Pending
	}
	// What a deletes and b puts is there in the end.
	for _, key := range a.Delete {
		if !slices.ContainsFunc(b.Put, func(r store.Record) bool { return r.Key == key }) {
			m.Delete = append(m.Delete, key)
		}
	}
	for _, r := range a.Put {
		if !slices.Contains(a.Delete, r.Key) {
			m.Put = append(m.Put, r)
		}
	}
	m.Put = append(m.Put, b.Put...)
	m.Delete = append(m.Delete, b.Delete...)
	return &m, nil
}

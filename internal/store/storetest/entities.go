package storetest

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

func testRecords(e *env) {
	a := im.User(1)
	e.own(a)
	e.equal("no records", e.records(a), []store.Record(nil))
	put := func(del []string, recs ...store.Record) {
		c := e.change(a)
		c.Put, c.Delete = recs, del
		e.commit(c)
	}
	put(nil, rec("b", "1"), rec("a", "2"), rec("c", ""))
	e.equal("put", e.records(a), []store.Record{rec("a", "2"), rec("b", "1"), rec("c", "")})
	put(nil, rec("b", "longer than before"), rec("a", ""))
	e.equal("overwrite", e.records(a), []store.Record{rec("a", ""), rec("b", "longer than before"), rec("c", "")})
	put([]string{"b", "missing"})
	e.equal("delete", e.records(a), []store.Record{rec("a", ""), rec("c", "")})
	put([]string{"a"}, rec("b", "back"))
	e.equal("put and delete", e.records(a), []store.Record{rec("b", "back"), rec("c", "")})
	put([]string{"b", "c", "d"}, rec("c", "put and deleted by one change"), rec("d", "the same, and new"))
	e.equal("delete all", e.records(a), []store.Record(nil))
}

// testRecordOrder: by bytes, whatever the keys hold.
func testRecordOrder(e *env) {
	a := im.User(1)
	e.own(a)
	keys := []string{"\x00", "\x00\x00", "\x01", "a", "a\x00", "aa", "ab", "b", "ä",
		strings.Repeat("\xff", 63), strings.Repeat("\xff", 64)}
	c := e.change(a)
	var want []store.Record
	for i := range keys {
		want = append(want, rec(keys[i], keys[i]))
		c.Put = append(c.Put, rec(keys[(i*7)%len(keys)], keys[(i*7)%len(keys)]))
	}
	e.commit(c)
	e.equal("records", e.records(a), want)
}

// testReadLog reads a log that was appended in chunks of 1, 4, 1 and 3
// entries from every sequence, with every limit.
func testReadLog(e *env) {
	a := im.User(1)
	e.own(a)
	e.equal("empty log", e.log(a), entries(1))
	values := numbered("v", 9)
	for _, cut := range [][2]int{{0, 1}, {1, 5}, {5, 6}, {6, 9}} {
		c := e.change(a)
		c.First, c.Append = im.Seq(cut[0]+1), bodies(values[cut[0]:cut[1]]...)
		e.commit(c)
	}
	all := entries(1, values...)
	for from := im.Seq(1); from <= 9; from++ {
		for limit := range 11 {
			want := all[from-1 : min(9, int(from)-1+limit)]
			e.equal("read", e.readLog(a, from, limit, 1<<20), want)
		}
	}
	for _, from := range []im.Seq{0, 10, 11, 1 << 40, 1<<64 - 1} {
		e.equal("nothing there", e.readLog(a, from, 5, 1<<20), entries(1))
	}
}

// testReadLogBytes: reading ends with the entry that exceeds the bytes.
func testReadLogBytes(e *env) {
	a := im.User(1)
	e.own(a)
	c := e.change(a)
	c.First, c.Append = 1, bodies("12345", "12345", "", "12345", "1234567890")
	e.commit(c)
	for _, test := range []struct{ from, maxBytes, want int }{
		{1, 0, 1}, {1, 4, 1}, {1, 5, 2}, {1, 9, 2}, {1, 10, 4}, {1, 14, 4}, {1, 15, 5}, {1, 1000, 5},
		{3, 0, 2}, {4, 3, 1}, {5, 3, 1}, {5, 1000, 1},
	} {
		got := e.readLog(a, im.Seq(test.from), 100, test.maxBytes)
		if len(got) != test.want {
			e.TB.Fatalf("ReadLog from %d with %d bytes returned %d entries, want %d", test.from, test.maxBytes, len(got), test.want)
		}
		for i, entry := range got {
			if entry.Seq != im.Seq(test.from+i) || !bytes.Equal(entry.Value, c.Append[test.from-1+i]) {
				e.TB.Fatalf("entry %d is %d %q", test.from+i, entry.Seq, entry.Value)
			}
		}
	}
}

// testLoad: the records, and the entries after what tail says they include.
func testLoad(e *env) {
	a := im.User(1)
	e.own(a)
	load := func(seq im.Seq, recs ...store.Record) []store.Entry {
		e.TB.Helper()
		calls := 0
		ent, err := e.s.Load(e.TB.Context(), a, func(got []store.Record) im.Seq {
			calls++
			e.equal("records given to tail", got, recs)
			return seq
		})
		if err != nil || calls != 1 {
			e.TB.Fatalf("Load: %d calls of tail, error %v", calls, err)
		}
		e.equal("records", ent.Records, recs)
		return ent.Tail
	}
	e.equal("nothing", load(0), entries(1))
	c := e.change(a)
	c.First, c.Append, c.Put = 1, bodies("a", "b", "c"), []store.Record{rec("head", "3")}
	e.commit(c)
	c = e.change(a)
	c.First, c.Append = 4, bodies("d", "e")
	e.commit(c)
	head := rec("head", "3")
	e.equal("all", load(0, head), entries(1, "a", "b", "c", "d", "e"))
	e.equal("middle of a chunk", load(2, head), entries(3, "c", "d", "e"))
	e.equal("what the record does not include", load(3, head), entries(4, "d", "e"))
	e.equal("end", load(5, head), entries(6))
	e.equal("past the end", load(9, head), entries(10))
}

// testChangeOrder: several changes to one entity are applied in order, and
// the values belong to the store once Commit has returned.
func testChangeOrder(e *env) {
	a, b := im.User(1), im.User(2)
	e.own(a, b)
	value := []byte("first")
	c1, c2, c3 := e.change(a), e.change(b), e.change(a)
	c1.First, c1.Append, c1.Put, c1.Pending = 1, [][]byte{value}, []store.Record{{Key: "k", Value: value}, rec("gone", "")}, store.Set
	c2.First, c2.Append = 1, bodies("other")
	c3.First, c3.Append, c3.Put, c3.Delete, c3.Pending = 2, bodies("second"), []store.Record{rec("k", "second")}, []string{"gone"}, store.Clear
	e.commit(c1, c2, c3)
	copy(value, "XXXXX")
	e.equal("log", e.log(a), entries(1, "first", "second"))
	e.equal("records", e.records(a), []store.Record{rec("k", "second")})
	e.equal("pending", e.pending(a.Slot()), []im.Addr(nil))

	got := e.log(a)
	copy(got[0].Value, "XXXXX")
	e.equal("log after its reader scribbled on it", e.log(a), entries(1, "first", "second"))
}

// testTrim: what is not trimmed stays, the log goes on where it was, and what
// is gone is skipped.
func testTrim(e *env) {
	a := im.User(1)
	e.own(a)
	values := numbered("v", 30)
	appendTo := func(last int, trim im.Seq) {
		e.TB.Helper()
		c := e.change(a)
		c.First = im.Seq(last - 4)
		c.Append, c.Trim = bodies(values[last-5:last]...), trim
		e.commit(c)
	}
	check := func(last int, kept im.Seq) {
		e.TB.Helper()
		all := entries(1, values[:last]...)
		e.equal("what is kept", e.readLog(a, kept, 100, 1<<20), all[kept-1:])
		e.equal("limited", e.readLog(a, kept, 2, 1<<20), all[kept-1:min(last, int(kept)+1)])
		got := e.log(a)
		if len(got) > 0 && got[0].Seq > kept || len(got) == 0 && int(kept) <= last {
			e.TB.Fatalf("a log trimmed to %d was read as %d entries from the start", kept, len(got))
		}
		e.equal("read from the start", got, all[last-len(got):])
		ent, err := e.s.Load(e.TB.Context(), a, func([]store.Record) im.Seq { return kept - 1 })
		if err != nil {
			e.TB.Fatalf("Load: %v", err)
		}
		e.equal("tail", ent.Tail, all[kept-1:])
	}
	appendTo(5, 0)
	appendTo(10, 1)
	check(10, 1)
	appendTo(15, 8) // in the middle of a commit
	check(15, 8)
	appendTo(20, 3) // nothing more
	check(20, 8)
	appendTo(25, 26) // with all that it appends itself
	check(25, 26)
	appendTo(30, 0)
	check(30, 26)
	c := e.change(a)
	c.Trim = 30
	e.commit(c, e.change(a))
	check(30, 30)
}

// testBegin: a log can begin anew, where nothing was and after what was there.
func testBegin(e *env) {
	for id, had := range []int{0, 3, 20} {
		a := im.User(im.UserID(id + 1))
		e.own(a)
		if had > 0 {
			c := e.change(a)
			c.First, c.Append = 1, bodies(numbered("old", had)...)
			e.commit(c)
		}
		c := e.change(a)
		c.First, c.Trim, c.Append = 30, 30, bodies("x", "y")
		e.commit(c)
		e.equal("a log that has begun anew", e.readLog(a, 1, 100, 1<<20), entries(30, "x", "y"))
		c = e.change(a)
		c.First, c.Append = 32, bodies("z")
		e.commit(c)
		e.equal("what follows", e.readLog(a, 31, 100, 1<<20), entries(31, "y", "z"))
		ent, err := e.s.Load(e.TB.Context(), a, func([]store.Record) im.Seq { return 30 })
		if err != nil {
			e.TB.Fatalf("Load: %v", err)
		}
		e.equal("tail", ent.Tail, entries(31, "y", "z"))
	}
}

// testDurableReads: a read does not return what has not become durable.
func testDurableReads(e *env) {
	s, ok := e.s.(Staller)
	if !ok {
		return
	}
	a := im.User(1)
	e.own(a)
	e.commit(e.change(a)) // the first may need more than one step
	resume := sync.OnceFunc(s.Stall())
	e.t.Cleanup(resume) // before the store is closed
	committed := make(chan error, 1)
	c := e.change(a)
	c.First, c.Append, c.Put, c.Pending = 1, bodies("x"), []store.Record{rec("k", "v")}, store.Set
	go func() { committed <- e.s.Commit(e.t.Context(), &store.Batch{Changes: []store.Change{c}}) }()
	// Long enough for the commit to get as far as it can.
	for until := time.Now().Add(100 * time.Millisecond); time.Now().Before(until); {
		e.readsNothing(a)
	}
	select {
	case err := <-committed:
		e.TB.Fatalf("a commit ended while nothing could become durable: %v", err)
	default:
	}
	resume()
	if err := <-committed; err != nil {
		e.TB.Fatalf("Commit: %v", err)
	}
	e.equal("log", e.log(a), entries(1, "x"))
	e.equal("records", e.records(a), []store.Record{rec("k", "v")})
	e.equal("pending", e.pending(a.Slot()), []im.Addr{a})
}

// readsNothing reads an entity for a moment: a read may wait, but what it
// brings is empty.
func (e *env) readsNothing(a im.Addr) {
	e.TB.Helper()
	ctx, cancel := context.WithTimeout(e.TB.Context(), 20*time.Millisecond)
	defer cancel()
	log, err := e.s.ReadLog(ctx, a, 1, 10, 1000)
	if err == nil && len(log) > 0 {
		e.TB.Fatalf("read an entry that is not durable")
	}
	ent, err := e.s.Load(ctx, a, func([]store.Record) im.Seq { return 0 })
	if err == nil && len(ent.Records)+len(ent.Tail) > 0 {
		e.TB.Fatalf("loaded what is not durable")
	}
	addrs, err := e.s.Pending(ctx, a.Slot())
	if err == nil && len(addrs) > 0 {
		e.TB.Fatalf("listed a pending mark that is not durable")
	}
}

func testPending(e *env) {
	addrs := sameSlot(1, 3)
	other := otherSlots(1, 2)[1]
	e.own(append(addrs, other)...)
	mark := func(m store.Mark, as ...im.Addr) {
		var changes []store.Change
		for _, a := range as {
			c := e.change(a)
			c.Pending = m
			changes = append(changes, c)
		}
		e.commit(changes...)
	}
	slot := addrs[0].Slot()
	e.equal("none", e.pending(slot), []im.Addr(nil))
	mark(store.Set, addrs[0], addrs[2], other)
	e.equal("set", e.pending(slot), []im.Addr{addrs[0], addrs[2]})
	e.equal("other slot", e.pending(other.Slot()), []im.Addr{other})
	mark(store.Set, addrs[0])
	mark(store.Keep, addrs...)
	e.equal("set again and kept", e.pending(slot), []im.Addr{addrs[0], addrs[2]})
	mark(store.Clear, addrs[0], addrs[1])
	e.equal("cleared", e.pending(slot), []im.Addr{addrs[2]})
	e.equal("other slot", e.pending(other.Slot()), []im.Addr{other})
	e.equal("mark is no record", e.records(addrs[2]), []store.Record(nil))
}

// testIsolation: entities whose addresses differ in little share nothing.
func testIsolation(e *env) {
	var addrs []im.Addr
	for _, id := range []uint64{0, 1, 2, 255, 256, 257, 1 << 32, 1<<32 + 1, 1<<56 + 1, 2<<56 + 1, 1<<64 - 2, 1<<64 - 1} {
		for _, kind := range []im.Kind{im.KindUser, im.KindName, im.KindAllocator, 255} {
			addrs = append(addrs, im.Addr{Kind: kind, ID: id})
		}
	}
	addrs = append(addrs, sameSlot(1, 4)[1:]...)
	e.own(addrs...)
	for i, a := range addrs {
		c := e.change(a)
		c.First, c.Append = 1, bodies(a.String(), "2nd")
		c.Put = []store.Record{rec("k", a.String())}
		if i%2 == 0 {
			c.Pending = store.Set
		}
		e.commit(c)
	}
	for i, a := range addrs {
		e.equal("log", e.log(a), entries(1, a.String(), "2nd"))
		e.equal("records", e.records(a), []store.Record{rec("k", a.String())})
		marked := false
		for _, b := range e.pending(a.Slot()) {
			marked = marked || a == b
		}
		if marked != (i%2 == 0) {
			e.TB.Fatalf("%v is pending: %v", a, marked)
		}
	}
}

// testLargeValues: bodies of the largest size, many in one change.
func testLargeValues(e *env) {
	a := im.User(1)
	e.own(a)
	body := func(i int) string { return strings.Repeat(string(rune('a'+i)), im.MaxBody) }
	var values []string
	for i := range 20 {
		values = append(values, body(i))
	}
	c := e.change(a)
	c.First, c.Append, c.Put = 1, bodies(values...), []store.Record{rec("big", body(25))}
	e.commit(c)
	e.equal("log", e.log(a), entries(1, values...))
	e.equal("one from the middle", e.readLog(a, 13, 1, 1), entries(13, values[12]))
	e.equal("record", e.records(a), []store.Record{rec("big", body(25))})
}

// testManyEntries: thousands of entries, appended at once and one by one.
func testManyEntries(e *env) {
	a := im.User(1)
	e.own(a)
	values := numbered("value", 3000)
	c := e.change(a)
	c.First, c.Append = 1, bodies(values[:2900]...)
	e.commit(c)
	for i := 2900; i < 3000; i++ {
		c := e.change(a)
		c.First, c.Append = im.Seq(i+1), bodies(values[i])
		e.commit(c)
	}
	all := entries(1, values...)
	e.equal("log", e.log(a), all)
	var paged []store.Entry
	for from := im.Seq(1); ; {
		page := e.readLog(a, from, 77, 1<<20)
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
		from = page[len(page)-1].Seq + 1
	}
	e.equal("pages", paged, all)
}

func testEmptyBatch(e *env) {
	e.commit()
	a := im.User(1)
	e.own(a)
	e.commit(e.change(a))
	e.equal("log", e.log(a), entries(1))
}

package redis

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// TestKeys pins the stored form of keys.
func TestKeys(t *testing.T) {
	k := newKeyspace("skein:")
	a := im.User(1<<32 + 7)
	values, expiry := k.members()
	got := []string{k.epoch(42), k.pending(4095), k.records(a), k.log(im.Addr{Kind: 255, ID: 1<<64 - 1}), values, expiry, k.format()}
	want := []string{
		"skein:{s0042}e", "skein:{s4095}p", k.tags[a.Slot()] + "r:1:4294967303", k.tags[im.Addr{Kind: 255, ID: 1<<64 - 1}.Slot()] + "l:255:18446744073709551615",
		"skein:{members}values", "skein:{members}expiry", "skein:{members}format",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if place("123456789") != 0x31C3 { // the example of the specification
		t.Fatalf("place of 123456789: %#x", place("123456789"))
	}
}

func FuzzParseEntity(f *testing.F) {
	for _, s := range []string{"1:42", "255:18446744073709551615", "256:1", "1:", ":1", "01:1", "1:1:1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseEntity(s)
		if err == nil && string(appendEntity(nil, a)) != s {
			t.Fatalf("%q was read as %v", s, a)
		}
	})
}

// TestOrder: in what a script is told, nothing that may remove a key comes
// before something that may make it.
func TestOrder(t *testing.T) {
	a, b := im.User(1), im.User(2)
	k := newKeyspace("")
	var e encoder
	e.keys, e.args = []string{"e"}, nil
	e.writeAll(k, 0, []*store.Change{
		{Addr: a, Delete: []string{"x"}, Trim: 9, Pending: store.Clear, First: 8, Append: [][]byte{[]byte("8")}},
		{Addr: b, Put: []store.Record{{Key: "y"}}, Pending: store.Set, First: 1, Append: [][]byte{[]byte("1")}},
	})
	var ops []string
	for _, arg := range e.args {
		if slices.Contains([]string{"append", "trim", "put", "delete", "mark", "unmark"}, arg) {
			ops = append(ops, arg)
		}
	}
	if diff := cmp.Diff([]string{"append", "append", "trim", "delete", "put", "mark", "unmark"}, ops); diff != "" {
		t.Fatal(diff)
	}
	if want := []string{"e", k.log(a), k.log(b), k.records(a), k.records(b), k.pending(0)}; !slices.Equal(e.keys, want) {
		t.Fatalf("keys %q, want %q", e.keys, want)
	}
}

// TestMerge: two changes to an entity come to what one after the other does.
func TestMerge(t *testing.T) {
	rec := func(k, v string) store.Record { return store.Record{Key: k, Value: []byte(v)} }
	x := &store.Change{First: 1, Append: [][]byte{[]byte("1")}, Put: []store.Record{rec("a", "1"), rec("b", "1"), rec("d", "1")},
		Delete: []string{"b", "c"}, Trim: 2, Pending: store.Set}
	y := &store.Change{First: 2, Append: [][]byte{[]byte("2")}, Put: []store.Record{rec("a", "2"), rec("c", "2")}, Delete: []string{"d"}}
	got, err := merge(x, y)
	if err != nil {
		t.Fatal(err)
	}
	want := &store.Change{First: 1, Append: [][]byte{[]byte("1"), []byte("2")}, Trim: 2, Pending: store.Set,
		Put: []store.Record{rec("a", "1"), rec("d", "1"), rec("a", "2"), rec("c", "2")}, Delete: []string{"b", "d"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	y.First = 3
	if _, err := merge(x, y); err == nil {
		t.Fatal("a hole was merged")
	}
}

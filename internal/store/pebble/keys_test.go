package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// TestComparer checks what Pebble asks of a comparer, on keys of all kinds and
// on the shortened ones that it makes for its indexes.
func TestComparer(t *testing.T) {
	c := comparer()
	rapid.Check(t, func(t *rapid.T) {
		draw := func() []byte {
			key := append([]byte{rapid.SampledFrom([]byte("elprz")).Draw(t, "prefix")},
				rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'l', 255}), 0, 24).Draw(t, "rest")...)
			return key
		}
		a, b := draw(), draw()
		pa, pb := c.Split.Prefix(a), c.Split.Prefix(b)
		if len(pa) < len(a) && c.Compare(pa, a) >= 0 {
			t.Fatalf("prefix of %x does not sort first", a)
		}
		if n := c.Split(pa); n != len(pa) {
			t.Fatalf("prefix %x has a prefix of %d bytes", pa, n)
		}
		order := c.Compare(pa, pb)
		if order == 0 {
			order = c.ComparePointSuffixes(a[len(pa):], b[len(pb):])
		}
		if order != c.Compare(a, b) {
			t.Fatalf("%x and %x do not sort by prefix and suffix", a, b)
		}
		next := c.ImmediateSuccessor([]byte("dst"), pa)[3:]
		if c.Split(next) != len(next) || c.Compare(next, pa) <= 0 || c.Compare(pa, pb) < 0 && c.Compare(next, pb) > 0 {
			t.Fatalf("%x follows prefix %x, and there is %x", next, pa, pb)
		}
		if c.Compare(a, b) < 0 {
			if s := c.Separator(nil, a, b); c.Compare(a, s) > 0 || c.Compare(s, b) >= 0 {
				t.Fatalf("%x does not separate %x and %x", s, a, b)
			}
		}
	})
}

// TestKeyBytes pins the stored form of keys.
func TestKeyBytes(t *testing.T) {
	a := im.Addr{Kind: im.KindUser, ID: 0x0102030405060708}
	slot := string(binary.BigEndian.AppendUint16(nil, uint16(a.Slot())))
	entity := slot + "\x01\x01\x02\x03\x04\x05\x06\x07\x08"
	logKey, recordKey, epochKey := make([]byte, logKeyLen), make([]byte, entityKeyLen+2), make([]byte, epochKeyLen)
	putLogKey(logKey, a, 0x1122)
	putRecordKey(recordKey, a, "hi")
	putEpochKey(epochKey, 0x0abc)
	for _, test := range []struct{ got, want string }{
		{string(logKey), "l" + entity + "\x00\x00\x00\x00\x00\x00\x11\x22"},
		{string(recordKey), "r" + entity + "hi"},
		{string(epochKey), "e\x0a\xbc"},
	} {
		if test.got != test.want {
			t.Errorf("key %q, want %q", test.got, test.want)
		}
	}
}

// TestKeyOrder: keys sort by slot, entity and sequence, and what names the
// entity is the prefix.
func TestKeyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() (im.Addr, im.Seq, []byte) {
			a := im.Addr{Kind: im.Kind(rapid.Byte().Draw(t, "kind")), ID: rapid.Uint64().Draw(t, "id")}
			seq := im.Seq(rapid.Uint64().Draw(t, "seq"))
			key := make([]byte, logKeyLen)
			putLogKey(key, a, seq)
			return a, seq, key
		}
		a, seqA, keyA := draw()
		_, seqB, keyB := draw()
		if got, err := logKeySeq(keyA); err != nil || got != seqA {
			t.Fatalf("sequence %d, %v, want %d", got, err, seqA)
		}
		if splitKey(keyA) != entityKeyLen {
			t.Fatalf("prefix of %d bytes", splitKey(keyA))
		}
		putLogKey(keyB, a, seqB)
		if cmp := bytes.Compare(keyA, keyB); (cmp < 0) != (seqA < seqB) {
			t.Fatalf("%d and %d sort the wrong way", seqA, seqB)
		}
	})
}

func TestSpanOf(t *testing.T) {
	for _, test := range []struct{ prefix, end string }{
		{"p\x00\x01", "p\x00\x02"}, {"p\x00\xff", "p\x01"}, {"p\xff\xff", "q"}, {"\xff", ""},
	} {
		o := spanOf([]byte(test.prefix))
		if string(o.LowerBound) != test.prefix || string(o.UpperBound) != test.end {
			t.Errorf("span of %q is %q to %q", test.prefix, o.LowerBound, o.UpperBound)
		}
	}
}

func FuzzKeys(f *testing.F) {
	key := make([]byte, entityKeyLen)
	putEntityKey(key, keyPending, im.User(7))
	f.Add(key, []byte("\x00\x00\x00\x00\x00\x00\x00\x01owner"))
	f.Add([]byte("e\x00\x07"), []byte("\x00\x00\x00\x00\x00\x00\x00\x01owner"))
	f.Add([]byte("l"), []byte{})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if n := splitKey(key); n > len(key) || len(key) > 0 && n == 0 {
			t.Fatalf("split of %x at %d", key, n)
		}
		a, err := entityOf(key)
		again := make([]byte, entityKeyLen)
		if putEntityKey(again, keyPending, a); err == nil && !bytes.Equal(again, key) {
			t.Fatalf("%x names %v, which is %x", key, a, again)
		}
		slot, epoch, epochErr := epochOf(key, value)
		if epochErr == nil && (slot >= im.Slots || epoch == 0) {
			t.Fatalf("epoch %d of slot %d", epoch, slot)
		}
		_, seqErr := logKeySeq(key)
		for _, err := range []error{err, epochErr, seqErr} {
			if err != nil && !errors.Is(err, store.ErrCorrupt) {
				t.Fatal(err)
			}
		}
	})
}

// entriesOf decodes a chunk.
func entriesOf(v []byte) ([][]byte, error) {
	c, err := parseChunk(v)
	if err != nil {
		return nil, err
	}
	entries := make([][]byte, 0, min(c.n, 1000))
	for c.n > 0 {
		entries = append(entries, c.next())
	}
	return entries, nil
}

func TestChunkBytes(t *testing.T) {
	for _, test := range []struct {
		entries []string
		want    string
	}{
		{[]string{""}, "\x01"},
		{[]string{"only"}, "\x01only"},
		{[]string{"a", "bc", "def"}, "\x03\x01\x02abcdef"},
		{[]string{"", "", ""}, "\x03\x00\x00"},
	} {
		var entries [][]byte
		for _, e := range test.entries {
			entries = append(entries, []byte(e))
		}
		v := make([]byte, chunkSize(entries))
		putChunk(v, entries)
		if string(v) != test.want {
			t.Errorf("chunk of %q is %q, want %q", test.entries, v, test.want)
		}
	}
}

func TestChunkRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all, got [][]byte
		for range rapid.IntRange(1, 300).Draw(t, "entries") {
			all = append(all, make([]byte, rapid.SampledFrom([]int{0, 1, 127, 128, 5000, maxChunk, maxChunk + 1}).Draw(t, "size")))
			if e := all[len(all)-1]; len(e) > 0 {
				e[0], e[len(e)-1] = byte(len(all)), byte(len(all))
			}
		}
		for rest := all; len(rest) > 0; {
			var entries [][]byte
			entries, rest = cutChunk(rest)
			v := make([]byte, chunkSize(entries))
			putChunk(v, entries)
			if len(entries) > 1 && len(v) > maxChunk+10*len(entries) {
				t.Fatalf("%d entries in a chunk of %d bytes", len(entries), len(v))
			}
			decoded, err := entriesOf(v)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, decoded...)
		}
		if len(got) != len(all) {
			t.Fatalf("%d entries became %d", len(all), len(got))
		}
		for i := range all {
			if !bytes.Equal(all[i], got[i]) {
				t.Fatalf("entry %d has changed", i)
			}
		}
	})
}

func FuzzChunk(f *testing.F) {
	for _, v := range []string{"", "\x00", "\x01", "\x01only", "\x03\x01\x02abcdef", "\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		f.Add([]byte(v))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		entries, err := entriesOf(v)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again := make([]byte, chunkSize(entries))
		putChunk(again, entries)
		decoded, err := entriesOf(again)
		if diff := cmp.Diff(entries, decoded); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}

package redistest

import (
	"errors"
	"reflect"
	"testing"
)

// What is dumped and loaded is what was there.
func TestDump(t *testing.T) {
	from, err := Start()
	if errors.Is(err, ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer from.Stop()
	to, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	defer to.Stop()
	for _, args := range [][]string{
		{"SET", "s", "a\x00b"}, {"RPUSH", "l", "1", "", "1"}, {"SADD", "t", "x"}, {"HSET", "h", "k", "v", "\xff", "w"}, {"ZADD", "z", "1732200000123", "m", "0.5", "n"},
	} {
		if _, err := from.Do(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := from.Dump(t.Context())
	if err != nil || len(keys) != 5 {
		t.Fatalf("%+v, %v", keys, err)
	}
	if err := to.Load(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	again, err := to.Dump(t.Context())
	if err != nil || !reflect.DeepEqual(again, keys) {
		t.Errorf("%+v instead of %+v, %v", again, keys, err)
	}
}

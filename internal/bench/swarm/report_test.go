package swarm

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestHistogramsAreMerged(t *testing.T) {
	all := newHistogram()
	for p := range 4 {
		h := newHistogram()
		for i := range 250 {
			record(h, int64(p*250+i+1)*1e6)
		}
		if err := merge(all, encode(h)); err != nil {
			t.Fatal(err)
		}
		if h.TotalCount() != 0 {
			t.Error("an encoded histogram is not empty")
		}
	}
	record(all, -1)
	record(all, 1<<62)
	if all.TotalCount() != 1002 {
		t.Errorf("%d values", all.TotalCount())
	}
	for q, want := range map[float64]int64{25: 250_000, 50: 500_000, 99: 990_000} {
		if got := all.ValueAtQuantile(q); got < want*998/1000 || got > want*1004/1000 {
			t.Errorf("quantile %g is %d us, want %d", q, got, want)
		}
	}
	for _, bad := range []string{"", "x", "HISTFAAA"} {
		if merge(all, bad) == nil {
			t.Errorf("%q is a histogram", bad)
		}
	}
}

// Every field of a status is added up, or the largest one counts, and survives
// the pipe.
func TestStatusesAreAddedUp(t *testing.T) {
	var one Status
	fill(reflect.ValueOf(&one).Elem())
	one.Errors = map[string]uint64{"x": 2}
	b, err := json.Marshal(&one)
	if err != nil {
		t.Fatal(err)
	}
	var read, sum Status
	if err := json.Unmarshal(b, &read); err != nil {
		t.Fatal(err)
	}
	sum.add(&one)
	sum.add(&read)
	largest := map[string]bool{"LastLogin": true, "LastNotice": true, "HeartbeatMS": true}
	check(t, reflect.ValueOf(sum), largest)
	if sum.Errors["x"] != 4 {
		t.Errorf("errors %v", sum.Errors)
	}
}

// fill sets every number to 3.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Int, reflect.Int64:
			f.SetInt(3)
		case reflect.Uint64, reflect.Uint32:
			f.SetUint(3)
		case reflect.Struct:
			fill(f)
		}
	}
}

func check(t *testing.T, v reflect.Value, largest map[string]bool) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		want := int64(6)
		if largest[name] {
			want = 3
		}
		switch f := v.Field(i); f.Kind() {
		case reflect.Int, reflect.Int64:
			if f.Int() != want {
				t.Errorf("%s is %d", name, f.Int())
			}
		case reflect.Uint64, reflect.Uint32:
			if f.Uint() != uint64(want) {
				t.Errorf("%s is %d", name, f.Uint())
			}
		case reflect.Struct:
			check(t, f, largest)
		}
	}
}

func TestBooksOfAnotherSizeAreRefused(t *testing.T) {
	c := newCollection()
	c.Admitted, c.Received = make([]uint64, 4), make([]uint64, 4)
	h := func() string { return encode(newHistogram()) }
	j := &Job{Member: 1, Members: 2, Total: 4}
	m := &Collected{Latency: h(), Lateness: h(), Logins: h(), Wins: h(), Opens: h(), Admitted: []uint64{5, 6}, Received: []uint64{7, 8}}
	if err := c.add(j, m); err != nil || !reflect.DeepEqual(c.Admitted, []uint64{0, 5, 0, 6}) || c.Received[3] != 8 {
		t.Errorf("%v, %+v", err, c)
	}
	m.Received = m.Received[:1]
	if c.add(j, m) == nil {
		t.Error("books with a hole")
	}
}

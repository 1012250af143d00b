package im

import "testing"

func TestTraceIDs(t *testing.T) {
	id := TraceID(0xabc).Forced()
	if id.String() != "8000000000000abc" || !id.IsForced() || id.Drawn() != 0xabc {
		t.Errorf("%v, %v", id, id.Drawn())
	}
	if TraceID(1<<63).Drawn() == 0 {
		t.Error("a drawn trace is none")
	}
	back, err := ParseTraceID(id.String())
	if err != nil || back != id {
		t.Errorf("%v reads back as %v, %v", id, back, err)
	}
	for _, bad := range []string{"", "0", "0000000000000000", "800000000000abc", "g000000000000000", "80000000000000abc", "+00000000000000a", "0x00000000000001"} {
		if id, err := ParseTraceID(bad); KindOf(err) != Invalid {
			t.Errorf("%q is %v, %v", bad, id, err)
		}
	}
	if (*Trace)(nil).Of() != 0 || (&Trace{ID: 5}).Of() != 5 {
		t.Error("Of")
	}
}

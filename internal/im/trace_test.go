package im

import (
	"encoding/json"
	"testing"
)

// Everything that is written can be read, that there is no trace included.
func TestTraceIDInJSON(t *testing.T) {
	for _, id := range []TraceID{0, 1, TraceID(7).Forced(), 1<<64 - 1} {
		b, err := json.Marshal(id)
		var got TraceID
		if err == nil {
			err = json.Unmarshal(b, &got)
		}
		if err != nil || got != id {
			t.Errorf("%v is written as %s and read as %v: %v", id, b, got, err)
		}
	}
	for _, bad := range []string{`""`, `"1"`, `"00000000000000zz"`, `"00000000000000001"`} {
		if err := json.Unmarshal([]byte(bad), new(TraceID)); KindOf(err) != Invalid {
			t.Errorf("%s is read: %v", bad, err)
		}
	}
	if _, err := ParseTraceID(noTrace); err == nil {
		t.Error("somebody who asks for a trace may ask for none")
	}
}

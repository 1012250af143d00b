package main

import (
	"bytes"
	"testing"
	"time"
)

// Who waits for an audit is told every two seconds how far it has come.
func TestAuditProgress(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	reading := auditProgress(&out, func() time.Time { return now })
	for range 5 {
		reading(17)
		now = now.Add(900 * time.Millisecond)
	}
	if got, want := out.String(), "reading slot 18 of 4096\n"; got != want {
		t.Errorf("in 3.6 s it said %q", got)
	}
}

package shard

import (
	"testing"
	"time"
)

// Of many failed reads, one every ten seconds is logged, with how many were not.
func TestComplaints(t *testing.T) {
	var c complaints
	at := time.Unix(0, 0)
	for _, test := range []struct {
		after   time.Duration
		skipped int
		ok      bool
	}{{0, 0, true}, {time.Second, 0, false}, {2 * time.Second, 0, false}, {complaintEvery, 2, true}, {complaintEvery + 1, 0, false}} {
		if skipped, ok := c.due(at.Add(test.after)); skipped != test.skipped || ok != test.ok {
			t.Errorf("after %v: %d, %v", test.after, skipped, ok)
		}
	}
}

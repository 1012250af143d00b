package node

import "testing"

func TestTrimIsDueWhenLoginsHaveCalmedDown(t *testing.T) {
	var tr trimmer
	for i, look := range []struct {
		logins   uint64
		sessions int64
		due      bool
	}{
		{0, 0, false}, {5000, 5000, false}, {19000, 3000, false}, {19000, 3000, true}, {19000, 3000, false},
		// A few now and then, until they are many.
		{19050, 3000, false}, {19900, 3000, false}, {19950, 3000, false}, {20040, 3000, true},
		// With many sessions, they must be more.
		{21040, 19000, false}, {21090, 19000, false}, {22400, 19000, false}, {22420, 19000, true},
	} {
		if got := tr.due(look.logins, look.sessions); got != look.due {
			t.Errorf("look %d, at %d logins: %v", i+1, look.logins, got)
		}
	}
}

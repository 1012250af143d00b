package node

import "testing"

func TestTrimIsDueWhenLoginsHaveCalmedDown(t *testing.T) {
	var tr trimmer
	for i, look := range []struct {
		logins uint64
		due    bool
	}{
		{0, false}, {5000, false}, {19000, false}, {19000, true}, {19000, false},
		// A few now and then, until they are many.
		{19050, false}, {19900, false}, {19950, false}, {20040, true},
	} {
		if got := tr.due(look.logins); got != look.due {
			t.Errorf("look %d, at %d logins: %v", i+1, look.logins, got)
		}
	}
}

package admit

import (
	"testing"

	"github.com/skein-im/skein/internal/im"
)

func TestClasses(t *testing.T) {
	for _, c := range []struct {
		cmd  im.Command
		want Class
	}{
		{&im.AckDelivered{}, Keep}, {&im.Detach{}, Keep}, {&im.Redeliver{}, Keep},
		{&im.Send{Session: 1}, Live}, {&im.Send{}, Sends}, {&im.SendNumbered{}, Sends},
		{&im.Attach{Resume: &im.Resume{}}, Live}, {&im.Attach{}, Login}, {&im.LookupName{}, Login},
		{&im.Contact{}, Calls}, {&im.AllocateUsers{}, Calls}, {&im.ListContacts{}, Reads}, {&im.Provision{}, Bulk},
	} {
		for user := range im.UserID(1000) {
			l := Priority(c.cmd, user, 5)
			if classOfLevel(l) != c.want || int(l) >= levels {
				t.Fatalf("%T of user %d has level %d, class %v; want %v", c.cmd, user, l, classOfLevel(l), c.want)
			}
		}
	}
}

// Users are spread evenly, and change places every hour. The function is
// pinned: gateways and mailboxes of different releases must agree.
func TestUserClasses(t *testing.T) {
	var n [userClasses]int
	same := 0
	const users = userClasses * 100
	for u := range im.UserID(users) {
		a, b := userClass(u, 1), userClass(u, 2)
		n[a]++
		if a == b {
			same++
		}
	}
	for c, n := range n {
		if n < 60 || n > 140 {
			t.Errorf("class %d has %d users of 100", c, n)
		}
	}
	if same > users/userClasses*2 {
		t.Errorf("%d of %d users stay where they are", same, users)
	}
	if got := LevelOf(Login, 12345, Hour(1_700_000_000_000)); got != 410 {
		t.Errorf("level %d", got)
	}
}

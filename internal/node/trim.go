package node

import (
	"runtime/debug"
	"time"
)

const (
	// trimLook is how often it is looked whether a storm of logins is over.
	trimLook = time.Second
	// trimLogins is how many logins leave garbage that is worth collecting, and
	// trimPart what part of the sessions they must be as well: collecting takes
	// the longer, the more sessions there are, and logins that keep coming
	// slowly would have it done again and again.
	trimLogins = 1000
	trimPart   = 8
)

// trimmer gives memory back to the system after many logins: what they leave
// behind is about as much as the sessions keep, and as long as little is
// allocated, the garbage collector would not look for it.
type trimmer struct {
	// done is how many logins there had been at the last time, seen how
	// many at the last look.
	done, seen uint64
}

// due reports whether a storm is over, now that there have been so many logins,
// of which so many sessions are left.
func (t *trimmer) due(logins uint64, sessions int64) bool {
	calm := logins-t.seen < trimLogins/10
	t.seen = logins
	if !calm || logins-t.done < max(trimLogins, uint64(max(sessions, 0))/trimPart) {
		return false
	}
	t.done = logins
	return true
}

// trim looks after the memory of a process that has nothing but links, until
// the node stops.
func (n *Node) trim() {
	tick := time.NewTicker(trimLook)
	defer tick.Stop()
	var t trimmer
	for {
		select {
		case <-n.stopping:
			return
		case <-tick.C:
		}
		if s := n.front.gateway.Stats(); t.due(s.Logins, s.Sessions) {
			debug.FreeOSMemory()
		}
	}
}

package shard

import "time"

const (
	// commitSlow is longer than a commit should take, commitFast shorter
	// than one may: whoever is in a batch waits for the one before it and
	// for its own.
	commitSlow = 60 * time.Millisecond
	commitFast = 30 * time.Millisecond
	// leastParts is how many entities a batch may always change: where a
	// sync alone takes long, smaller batches would not help.
	leastParts = 512
)

// batchLimit is how many entities the next batch may change: fewer than
// maxParts when such commits take too long. What does not fit waits in the
// queue, where it counts as waiting, and admission heeds it.
type batchLimit int

// committed takes how long the commit of a batch of so many parts took.
func (l *batchLimit) committed(parts int, took time.Duration) {
	switch {
	case took > commitSlow && parts >= int(*l)/2:
		*l = max(*l*3/4, leastParts)
	case took < commitFast && parts >= int(*l):
		*l = min(*l*2, maxParts)
	}
}

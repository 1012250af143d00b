package entity

import (
	"google.golang.org/protobuf/encoding/protowire"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// fork is where a timeline has gone on in another generation of the store, which
// may have lost its end: what devices have got after head before that is gone,
// and other entries have its numbers.
type fork struct {
	generation im.Generation
	head       im.Seq
}

// maxForks is how many of them a user remembers.
const maxForks = 8

// generation is the one that the timeline is in.
func (u *user) generation() im.Generation {
	if len(u.forks) == 0 {
		return 0
	}
	return u.forks[len(u.forks)-1].generation
}

// enterGeneration notes that the user is in a generation of the store in which it
// has not been, before anything of that happens to it: it is part of the first
// commit, so the head that is noted is that of the copy.
func (u *user) enterGeneration(tx *Tx) {
	if tx.Generation == 0 || tx.Generation == u.generation() || !u.exists || u.absent() {
		return
	}
	if len(u.forks) == maxForks {
		// Whoever comes from a generation that is not known any more has the
		// least in common that anybody has.
		u.forks = append(u.forks[:1], u.forks[2:]...)
		u.forks[0].generation = 0
	}
	u.forks = append(u.forks, fork{tx.Generation, u.head})
	u.Snapshot(tx)
}

// common is up to where the timeline is what it was in a generation.
func (u *user) common(g im.Generation) im.Seq {
	if len(u.forks) == 0 || g != 0 && g == u.generation() {
		return u.head
	}
	for i := len(u.forks) - 2; i >= 0; i-- {
		if g != 0 && u.forks[i].generation == g {
			return u.forks[i+1].head
		}
	}
	return u.forks[0].head
}

// lets answers a device that has got the timeline up to a place, in a generation
// that it may have named.
func (u *user) lets(d *device, at im.Seq, g *im.Generation) (*im.Attached, error) {
	a := u.attached(d, at)
	if g != nil && *g != u.generation() {
		kept := u.common(*g)
		a.Kept, a.Cursor = &kept, min(at, kept)
	}
	if a.Cursor > u.head {
		return nil, im.Errorf(im.Invalid, "cursor %d is beyond the timeline's end %d", at, u.head)
	}
	return a, nil
}

func appendForks(b []byte, num protowire.Number, forks []fork) []byte {
	var one []byte
	for _, f := range forks {
		one = appendUint(one[:0], 1, uint64(f.generation))
		one = appendUint(one, 2, uint64(f.head))
		b = protowire.AppendTag(b, num, protowire.BytesType)
		b = protowire.AppendBytes(b, one)
	}
	return b
}

func forksOf(stored []*storev1.TimelineFork) []fork {
	var forks []fork
	for _, f := range stored {
		forks = append(forks, fork{im.Generation(f.GetGeneration()), im.Seq(f.GetHead())})
	}
	return forks
}

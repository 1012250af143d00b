package entity

import (
	"google.golang.org/protobuf/encoding/protowire"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// fork is where a log has gone on in another generation of the store, which may
// have lost its end: what others have got after head before that is gone, and
// other entries have its numbers.
type fork struct {
	generation im.Generation
	head       im.Seq
}

// forks are those of an entity, as they came.
type forks []fork

// maxForks is how many of them are remembered.
const maxForks = 8

// generation is the one that the log is in.
func (fs forks) generation() im.Generation {
	if len(fs) == 0 {
		return 0
	}
	return fs[len(fs)-1].generation
}

// enter adds a generation. Of too many, the first two become one: whoever comes
// from before them, or from between, has the least in common that anybody has.
func (fs forks) enter(g im.Generation, head im.Seq) forks {
	if len(fs) == maxForks {
		fs[1].head = fs[0].head
		fs = append(fs[:0], fs[1:]...)
	}
	return append(fs, fork{g, head})
}

// after is the fork that ended what the log had in common with a generation, which
// is not the one that it is in. One that is not among them has been forgotten, or was lost
// itself before it was noted here: then it is told by the time it has its name from.
func (fs forks) after(g im.Generation) int {
	for i := len(fs) - 2; i >= 0; i-- {
		if fs[i].generation == g {
			return i + 1
		}
	}
	for i := range fs {
		if fs[i].generation > g {
			return i
		}
	}
	return len(fs) - 1
}

// enterGeneration notes that the user is in a generation of the store in which it
// has not been, before anything of that happens to it: it is part of the first
// commit, so what is noted is what the copy has.
func (u *user) enterGeneration(tx *Tx) {
	if tx.Generation == 0 || tx.Generation == u.generation() || u.absent() {
		return
	}
	for _, p := range u.order {
		u.base(&p.line)
	}
	if u.wallet != nil {
		for _, p := range u.wallet.dealings {
			u.base(&p.line)
		}
	}
	u.forks = u.forks.enter(tx.Generation, u.head)
	u.Snapshot(tx)
}

// common is up to where the timeline is what it was in a generation.
func (u *user) common(g im.Generation) im.Seq {
	if len(u.forks) == 0 || g == u.generation() {
		return u.head
	}
	return u.forks[u.forks.after(g)].head
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

func appendForks(b []byte, num protowire.Number, list forks) []byte {
	var one []byte
	for _, f := range list {
		one = appendUint(one[:0], 1, uint64(f.generation))
		one = appendUint(one, 2, uint64(f.head))
		b = protowire.AppendTag(b, num, protowire.BytesType)
		b = protowire.AppendBytes(b, one)
	}
	return b
}

// stored is forksOf, the other way.
func (fs forks) stored() (list []*storev1.TimelineFork) {
	for _, f := range fs {
		list = append(list, &storev1.TimelineFork{Generation: uint64(f.generation), Head: uint64(f.head)})
	}
	return list
}

func forksOf(stored []*storev1.TimelineFork) (list forks) {
	for _, f := range stored {
		list = append(list, fork{im.Generation(f.GetGeneration()), im.Seq(f.GetHead())})
	}
	return list
}

package region

import (
	"context"

	"github.com/skein-im/skein/internal/im"
)

// Guest is what other regions may ask of this one, over role links.
type Guest struct{ r *Region }

// Guest is what other regions may ask of this one.
func (r *Region) Guest() *Guest { return &Guest{r} }

func errNotForGuests() error {
	return im.Errorf(im.PermissionDenied, "this is not for other regions to ask")
}

// Submit implements im.Mailbox: what the directory's region keeps for all, and
// the steps of a user's arrival.
func (g *Guest) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	r := g.r
	switch to.Kind {
	case im.KindHome:
		r.homeCommand(im.UserID(to.ID), cmd, done)
		return
	case im.KindUser:
		switch cmd.(type) {
		case *im.Arrive, *im.ImportLog, *im.ImportRecords, *im.Inhabit:
			r.cfg.Whole.Submit(to, cmd, done)
			return
		}
	default:
		if r.cfg.Directory == r.cfg.Self {
			r.cfg.Whole.Submit(to, cmd, done)
			return
		}
	}
	fail(done, cmd, errNotForGuests())
}

// ReadTimeline implements im.Mailbox.
func (g *Guest) ReadTimeline(context.Context, im.UserID, im.Seq, int) ([][]byte, error) {
	return nil, errNotForGuests()
}

// ReadConversation implements im.Mailbox.
func (g *Guest) ReadConversation(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, errNotForGuests()
}

package api

import (
	"context"
	"unicode/utf8"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

// contactStep answers one of the methods that take a step.
func contactStep(op im.ContactOp) answerFunc[skeinv1.ContactRequest, skeinv1.ContactResponse] {
	return func(a *API, ctx context.Context, who *caller, req *skeinv1.ContactRequest) (*skeinv1.ContactResponse, error) {
		if err := checkPeer(who, req.User); err != nil {
			return nil, err
		}
		if req.Note != "" && op != im.ContactRequest {
			return nil, im.Errorf(im.Invalid, "only a request carries a note")
		}
		if len(req.Note) > im.MaxNote {
			return nil, im.Errorf(im.TooLarge, "a note has at most %d bytes", im.MaxNote)
		}
		if !utf8.ValidString(req.Note) {
			return nil, im.Errorf(im.Invalid, "a note must be valid UTF-8")
		}
		info, err := im.Ask[*im.ContactInfo](ctx, a.mailbox, im.User(who.user),
			&im.Contact{Op: op, Peer: im.UserID(req.User), Note: req.Note})
		if err != nil {
			return nil, err
		}
		return &skeinv1.ContactResponse{Contact: contact(info)}, nil
	}
}

// checkPeer refuses who cannot be the other side of a conversation.
func checkPeer(who *caller, peer uint64) error {
	if peer == 0 || peer > uint64(im.MaxUser) || im.UserID(peer) == who.user {
		return im.Errorf(im.Invalid, "the other side must be another user")
	}
	return nil
}

func contact(c *im.ContactInfo) *skeinv1.Contact {
	return &skeinv1.Contact{
		User: uint64(c.Peer), State: skeinv1.ContactState(c.State), Blocked: c.Blocked,
		Note: c.Note, LastSeq: uint64(c.LastSeq),
	}
}

func (a *API) contacts(ctx context.Context, user im.UserID) ([]im.ContactInfo, error) {
	return im.Ask[[]im.ContactInfo](ctx, a.mailbox, im.User(user), &im.ListContacts{})
}

func (a *API) listContacts(ctx context.Context, who *caller, _ *skeinv1.ListContactsRequest) (*skeinv1.ListContactsResponse, error) {
	list, err := a.contacts(ctx, who.user)
	if err != nil {
		return nil, err
	}
	res := &skeinv1.ListContactsResponse{Contacts: make([]*skeinv1.Contact, 0, len(list))}
	for i := range list {
		res.Contacts = append(res.Contacts, contact(&list[i]))
	}
	return res, nil
}

package route

import (
	"context"

	"github.com/skein-im/skein/internal/im"
)

var (
	_ im.Mailbox         = (*Mailbox)(nil)
	_ im.StatementReader = (*Mailbox)(nil)
)

// readFrom reads from the node that serves a user, and again from the next one
// if that is another by the time the first cannot be asked.
func (m *Mailbox) readFrom(user im.UserID, read func(l Link) error) error {
	n := m.view.Load().owner(im.User(user))
	for {
		if n == nil {
			return errNobody
		}
		err := read(n.link)
		if im.KindOf(err) != im.Unavailable {
			return err
		}
		now := m.view.Load().owner(im.User(user))
		if now == nil || now.link == n.link {
			return err
		}
		n = now
	}
}

// ReadTimeline implements im.Mailbox.
func (m *Mailbox) ReadTimeline(ctx context.Context, user im.UserID, after im.Seq, limit int) (page [][]byte, err error) {
	err = m.readFrom(user, func(l Link) (err error) {
		page, err = l.ReadTimeline(ctx, user, after, limit)
		return err
	})
	return page, err
}

// ReadConversation implements im.Mailbox.
func (m *Mailbox) ReadConversation(ctx context.Context, user im.UserID, from im.Seq, limit int) (page [][]byte, next im.Seq, err error) {
	err = m.readFrom(user, func(l Link) (err error) {
		page, next, err = l.ReadConversation(ctx, user, from, limit)
		return err
	})
	return page, next, err
}

// ReadStatement implements im.StatementReader.
func (m *Mailbox) ReadStatement(ctx context.Context, user im.UserID, from im.Seq, limit int) (page [][]byte, next im.Seq, err error) {
	err = m.readFrom(user, func(l Link) (err error) {
		page, next, err = l.ReadStatement(ctx, user, from, limit)
		return err
	})
	return page, next, err
}

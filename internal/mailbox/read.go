package mailbox

import (
	"context"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// maxPage bounds the bytes of one page of a timeline.
const maxPage = im.MaxServerFrame

var _ im.StatementReader = (*Mailbox)(nil)

// ReadTimeline implements im.Mailbox.
func (m *Mailbox) ReadTimeline(ctx context.Context, user im.UserID, after im.Seq, limit int) ([][]byte, error) {
	if err := m.admitRead(user); err != nil {
		return nil, err
	}
	defer m.observeRead(time.Now())
	entries, err := m.store.ReadLog(ctx, im.User(user), after+1, limit, maxPage)
	if err != nil {
		return nil, unreadable(err)
	}
	page := make([][]byte, 0, len(entries)+1)
	if len(entries) > 0 && entries[0].Seq > after+1 {
		page = append(page, entity.Gone(entries[0].Seq-1))
		entries = entries[:min(len(entries), limit-1)]
	}
	for _, e := range entries {
		v, err := entity.Visible(e)
		if err != nil {
			return nil, err
		}
		page = append(page, v)
	}
	return page, nil
}

// ReadConversation implements im.Mailbox: each entry names the one before it.
func (m *Mailbox) ReadConversation(ctx context.Context, user im.UserID, from im.Seq, limit int) ([][]byte, im.Seq, error) {
	return m.readBack(ctx, user, from, limit, entity.VisibleInConversation)
}

// ReadStatement implements im.StatementReader: likewise.
func (m *Mailbox) ReadStatement(ctx context.Context, user im.UserID, from im.Seq, limit int) ([][]byte, im.Seq, error) {
	return m.readBack(ctx, user, from, limit, entity.VisibleInStatement)
}

// readBack follows entries of which each names the one before it.
func (m *Mailbox) readBack(ctx context.Context, user im.UserID, from im.Seq, limit int,
	visible func(im.LogEntry) ([]byte, im.Seq, error)) ([][]byte, im.Seq, error) {
	if err := m.admitRead(user); err != nil {
		return nil, 0, err
	}
	defer m.observeRead(time.Now())
	var page [][]byte
	size := 0
	for from != 0 && len(page) < limit && size < maxPage {
		entries, err := m.store.ReadLog(ctx, im.User(user), from, 1, maxPage)
		if err != nil {
			return nil, 0, unreadable(err)
		}
		if len(entries) == 0 {
			return nil, 0, im.Errorf(im.NotFound, "there is no entry %d", from)
		}
		if entries[0].Seq != from {
			// What comes before is no longer kept.
			return page, 0, nil
		}
		v, prev, err := visible(entries[0])
		if err != nil {
			return nil, 0, err
		}
		page = append(page, v)
		size += len(v)
		from = prev
	}
	return page, from, nil
}

func (m *Mailbox) observeRead(begun time.Time) { m.reads.Observe(time.Since(begun)) }

func unreadable(err error) error {
	return &im.Error{Kind: im.Unavailable, RetryAfterMS: 1000, Detail: "the timeline cannot be read", Err: err}
}

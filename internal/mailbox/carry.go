package mailbox

import (
	"context"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Records are all that an entity has in the store.
func (m *Mailbox) Records(ctx context.Context, a im.Addr) ([]im.Record, error) {
	e, err := m.store.Load(ctx, a, func(recs []store.Record) im.Seq { return maxSeq })
	if err != nil {
		return nil, unreadable(err)
	}
	return e.Records, nil
}

// maxSeq is beyond every log.
const maxSeq = im.Seq(1) << 62

// ReadLog reads entries of an entity's log as they are stored.
func (m *Mailbox) ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]im.LogEntry, error) {
	entries, err := m.store.ReadLog(ctx, a, from, limit, maxBytes)
	if err != nil {
		return nil, unreadable(err)
	}
	return entries, nil
}

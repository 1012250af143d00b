package cluster

import (
	"context"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// PutService writes the record of a server that is no node of this program; it
// expires after ttl unless it is written again. The names of services have a
// slash in them.
func PutService(ctx context.Context, records Records, m Member, ttl time.Duration) error {
	r, err := m.record()
	if err != nil {
		return err
	}
	if err := records.PutMember(ctx, r, ttl); err != nil {
		return im.Errorf(im.Unavailable, "the server's record cannot be written: %w", err)
	}
	return nil
}

// Services are the records that PutService has written.
func Services(members []Member) []Member {
	var list []Member
	for _, m := range members {
		if m.Service != "" {
			list = append(list, m)
		}
	}
	return list
}

// Failed is why the records could not be read or written at last, so that what
// Members says may be old; nil: they were.
func (m *Membership) Failed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

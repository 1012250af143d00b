package mailbox

import (
	"cmp"
	"context"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// DefaultHandOver is how long to wait for a node that is there to hand over slots.
// It knows within half a second that it is to, and then takes some tenths.
const DefaultHandOver = time.Second

// free is what of some slots may be acquired now. Those that another node serves
// that says when it has handed them over come later: until then that node serves
// their users, and what is taken from it by force fails and is repeated.
func (m *Mailbox) free(ctx context.Context, list []im.Slot) ([]im.Slot, error) {
	if m.cfg.Hands == nil {
		return list, nil
	}
	owners, err := m.store.Owners(ctx, list)
	if err != nil {
		return nil, im.Errorf(im.Unavailable, "cannot ask who serves slots: %w", err)
	}
	until := time.Now().Add(cmp.Or(m.cfg.HandOver, DefaultHandOver))
	return m.slots.Await(m.cfg.Node, list, owners, m.cfg.Hands, until), nil
}

// Released hears which slots another node has handed over, that it had under these
// epochs.
func (m *Mailbox) Released(list []im.Slot, epochs []im.Epoch) { m.slots.Released(list, epochs) }

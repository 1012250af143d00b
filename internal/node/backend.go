package node

import (
	"context"
	"path/filepath"

	"github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/store/pebble"
)

// backend is the store, and the mailbox on it.
type backend struct {
	store   *pebble.Store
	mailbox *mailbox.Mailbox
	// roles lets gateways of other processes reach the mailbox.
	roles *remote.Server
}

func (n *Node) startBackend(ctx context.Context) error {
	dir, err := filepath.Abs(n.cfg.Data)
	if err != nil {
		return err
	}
	st, err := pebble.Open(dir, pebble.Options{Logger: n.log, CacheBytes: int64(n.cfg.CacheMB) << 20})
	if err != nil {
		return err
	}
	cfg := mailbox.DefaultConfig()
	cfg.Shards, cfg.Logger = n.cfg.Shards, n.log
	n.back = &backend{store: st, mailbox: mailbox.New(cfg, st)}
	if err := n.back.mailbox.Start(ctx); err != nil {
		return err
	}
	return n.loadArticleData(ctx)
}

// health is nil while the store takes writes and every slot is served.
func (b *backend) health() error {
	if err := b.store.Err(); err != nil {
		return err
	}
	return b.mailbox.Health()
}

// stop finishes what the mailbox has taken.
func (b *backend) stop() error {
	b.mailbox.Stop()
	return b.store.Close()
}

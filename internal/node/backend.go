package node

import (
	"context"
	"errors"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/standby"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/pebble"
)

// backend is the store, and the mailbox on it.
type backend struct {
	// store is the node's own; nil: the one that it shares with others.
	store   *pebble.Store
	mailbox *mailbox.Mailbox
	// roles lets gateways of other processes reach the mailbox.
	roles *remote.Server
	// source tells the region's standby of commits; nil: there is none.
	source *standby.Source
}

func (n *Node) startBackend(ctx context.Context) error {
	cfg := mailbox.DefaultConfig()
	cfg.Shards, cfg.Logger, cfg.Core.Traces = n.cfg.Shards, n.log, n.traces.recorder
	cfg.Core.Retain = retention(&n.cfg)
	if n.shared != nil {
		return n.startOnShared(ctx, cfg)
	}
	return n.startOnOwn(ctx, cfg)
}

// startOnShared starts the mailbox on the store that several nodes have.
func (n *Node) startOnShared(ctx context.Context, cfg mailbox.Config) error {
	cfg.Node, cfg.Shared = n.name, true
	cfg.Elsewhere, cfg.Fenced, cfg.Acquired = n.carry, n.stale, n.announceSlots
	cfg.Left, cfg.Hands = func(slots []im.Slot, epochs []im.Epoch) { n.back.roles.Left(slots, epochs) }, n.hands
	if cfg.Core.Retain.Kept() && n.cfg.Store == config.StoreRedis {
		n.log.Warn("history is kept for ever, in the memory of Redis; bound it with --retain-days or --retain-entries")
	}
	var kept store.Store
	var src *standby.Source
	err := n.await(ctx, "the store's own records", func(ctx context.Context) (err error) {
		if cfg.Core.Generation, err = standby.GenerationOf(ctx, n.shared.store); err == nil {
			kept, src, err = n.withStandby(ctx, n.shared.store)
		}
		return err
	})
	if err != nil {
		return err
	}
	n.back = &backend{mailbox: mailbox.New(cfg, kept), source: src}
	if err := n.newRegions(); err != nil {
		return err
	}
	return n.back.mailbox.Start(ctx)
}

// startOnOwn starts the mailbox on a store of its own.
func (n *Node) startOnOwn(ctx context.Context, cfg mailbox.Config) error {
	st, err := n.openPebble()
	if err != nil {
		return err
	}
	kept, src, err := n.withStandby(ctx, st)
	if err == nil {
		cfg.Core.Generation, err = standby.GenerationOf(ctx, st)
	}
	if err != nil {
		return errors.Join(err, st.Close())
	}
	if n.cfg.Region != "" {
		cfg.Elsewhere = n.carry
	}
	n.back = &backend{store: st, mailbox: mailbox.New(cfg, kept), source: src}
	if err := n.newRegions(); err != nil {
		return err
	}
	if err := n.back.mailbox.Start(ctx); err != nil {
		return err
	}
	n.startRegions()
	return nil
}

func (n *Node) openPebble() (*pebble.Store, error) {
	return pebble.Open(n.addrs.Data, pebble.Options{
		Logger: n.log, CacheBytes: int64(n.cfg.CacheMB) << 20,
		// A gateway that shares the directory may have been faster.
		Beside: []string{account.OperatorTokenFile, ClusterSecretFile},
	})
}

// offered is what this node's mailbox offers: to users of its region, if there are
// several.
func (n *Node) offered() im.Mailbox {
	if n.regions != nil {
		return n.regions.region
	}
	return n.back.mailbox
}

// retention is how much of users' logs the settings say to keep.
func retention(cfg *config.Config) entity.Retention {
	const day = 24 * 3600 * 1000
	return entity.Retention{
		Entries: cfg.RetainEntries, Age: im.Millis(cfg.RetainDays) * day, Away: im.Millis(cfg.RetainAwayDays) * day,
	}
}

// health is nil while the store takes writes and every slot is served.
func (b *backend) health() error {
	if b.store != nil {
		if err := b.store.Err(); err != nil {
			return err
		}
	}
	return b.mailbox.Health()
}

// stop finishes what the mailbox has taken.
func (n *Node) stopBackend() error {
	b := n.back
	b.mailbox.Stop()
	n.settleStandby(b.source)
	if b.store == nil {
		return nil
	}
	return b.store.Close()
}

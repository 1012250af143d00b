package node

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/relay"
	"github.com/skein-im/skein/internal/standby"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/pebble"
)

// follower is the role that keeps a copy.
type follower struct {
	*standby.Follower
	// store is the node's own; nil: a shared one.
	store *pebble.Store
}

// startStandby opens the copy and listens for the region's mailboxes.
func (n *Node) startStandby(ctx context.Context) error {
	if n.cfg.Region == "" {
		return im.Errorf(im.Invalid, "a standby needs the name of its region; see --region")
	}
	creds, err := n.relayCredentials()
	if err != nil {
		return err
	}
	engine, err := n.openCopy()
	if err != nil {
		return err
	}
	follow := func(ctx context.Context) error {
		n.standby.Follower, err = standby.NewFollower(ctx, standby.FollowerConfig{Engine: engine, Region: n.cfg.Region, Logger: n.log})
		return err
	}
	if n.shared != nil {
		err = n.await(ctx, "the copy's store", follow)
	} else {
		err = follow(ctx)
	}
	if err != nil {
		return err
	}
	if err := n.loadCredentials(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", n.cfg.StandbyListen)
	if err != nil {
		return cannotListen("--standby-listen", n.cfg.StandbyListen, err)
	}
	n.addrs.Standby = ln.Addr().String()
	server, _ := creds.Standby(im.Region(n.cfg.Region))
	n.run("standby", func() error { return n.standby.Serve(tls.NewListener(ln, server)) })
	return nil
}

// openCopy opens the store that is to be the copy.
func (n *Node) openCopy() (standby.Engine, error) {
	n.standby = &follower{}
	if n.shared != nil {
		return n.shared.store, nil
	}
	st, err := n.openPebble()
	n.standby.store = st
	return st, err
}

// hangUp ends the connections.
func (f *follower) hangUp() {
	if f != nil && f.Follower != nil {
		f.Close()
	}
}

// stop closes the copy.
func (f *follower) stop() error {
	if f == nil || f.store == nil {
		return nil
	}
	return f.store.Close()
}

// relayCredentials are those by which regions know each other.
func (n *Node) relayCredentials() (*relay.Credentials, error) {
	creds, err := relay.LoadCredentials(n.cfg.RelayCert, n.cfg.RelayKey, n.cfg.RelayCA)
	if err != nil {
		return nil, err
	}
	return creds, creds.Check(im.Region(n.cfg.Region))
}

// withStandby is the engine, with the region's standby behind it if there is
// one.
func (n *Node) withStandby(ctx context.Context, engine standby.Engine) (store.Store, *standby.Source, error) {
	region, err := standby.CopyOf(ctx, engine)
	if err != nil {
		return nil, nil, err
	}
	if region != "" {
		return nil, nil, im.Errorf(im.Invalid, "this store is the standby of region %s; 'skein standby promote' makes it the region's own", region)
	}
	if n.cfg.Standby == "" {
		return engine, nil, nil
	}
	creds, err := n.relayCredentials()
	if err != nil {
		return nil, nil, err
	}
	_, client := creds.Standby(im.Region(n.cfg.Region))
	src := standby.NewSource(standby.Config{
		Engine: engine, Region: n.cfg.Region, Node: n.name, Sync: n.cfg.StandbyMode == config.StandbySync,
		Snapshot: entity.SnapshotSeq, Logger: n.log,
		Dial: func(ctx context.Context) (net.Conn, error) {
			d := tls.Dialer{Config: client, NetDialer: &net.Dialer{Timeout: stopTimeout}}
			return d.DialContext(ctx, "tcp", n.cfg.Standby)
		},
	})
	return src, src, nil
}

// settleStandby waits a while for the standby to have everything, and ends the
// link to it.
func (n *Node) settleStandby(src *standby.Source) {
	if src == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := src.Drain(ctx); err != nil {
		n.log.Warn("the standby does not have everything", "behind", src.Stats().Behind, "err", err)
	}
	src.End()
}

// Promote makes the copy that is kept at some settings a store of its own, and
// says which slots are not whole; with those it does so only if broken is true.
func Promote(ctx context.Context, cfg config.Config, log *slog.Logger, broken bool) (notWhole []im.Slot, err error) {
	n := newNode(cfg, Options{Role: Standby, Logger: log})
	if n.addrs.Data, err = filepath.Abs(cfg.Data); err != nil {
		return nil, err
	}
	if err := n.openShared(ctx, log); err != nil {
		return nil, err
	}
	defer func() {
		if n.shared != nil {
			err = errors.Join(err, n.shared.store.Close())
		}
	}()
	if n.shared == nil {
		if _, err := os.Stat(n.addrs.Data); err != nil {
			return nil, err
		}
	}
	engine, err := n.openCopy()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.standby.stop()) }()
	return standby.Promote(ctx, engine, time.Now(), broken)
}

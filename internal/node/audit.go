package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"github.com/skein-im/skein/internal/audit"
	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/pebble"
)

// Audit audits the store that the settings name, together with those of other
// regions, and says which slot it reads. Nobody may be serving them.
func Audit(ctx context.Context, cfg config.Config, log *slog.Logger, reading func(im.Slot), others ...config.Config) (_ *audit.Report, err error) {
	var stores []audit.Source
	for _, c := range append([]config.Config{cfg}, others...) {
		st, err := openAtRest(ctx, c, log)
		if err != nil {
			return nil, err
		}
		defer closeStore(st, &err)
		stores = append(stores, st)
	}
	return audit.Run(ctx, audit.Watch(audit.Regions(stores...), reading))
}

// atRest is a store to be audited.
type atRest interface {
	audit.Source
	io.Closer
}

// closeStore closes a store, and adds what goes wrong to err.
func closeStore(st io.Closer, err *error) { *err = errors.Join(*err, st.Close()) }

// openAtRest opens a store that nobody serves.
func openAtRest(ctx context.Context, cfg config.Config, log *slog.Logger) (atRest, error) {
	if cfg.Store != config.StorePebble {
		return openSharedAtRest(ctx, cfg, log)
	}
	// Opening would make what is not there.
	if files, err := os.ReadDir(cfg.Data); err != nil || len(files) == 0 {
		return nil, im.Errorf(im.NotFound, "there is no store in %s", cfg.Data)
	}
	return pebble.Open(cfg.Data, pebble.Options{Logger: log})
}

// openSharedAtRest opens a store that nodes share. What they write meanwhile would
// look like errors, so none with mailboxes may be there.
func openSharedAtRest(ctx context.Context, cfg config.Config, log *slog.Logger) (atRest, error) {
	st, err := openEngine(ctx, &cfg, log)
	if err != nil {
		return nil, err
	}
	members, err := cluster.Read(ctx, st, log)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	for _, m := range members {
		if m.Roles != "" {
			return nil, errors.Join(im.Errorf(im.Unavailable,
				"node %s is there: stop all nodes with mailboxes first; one that died is forgotten after some seconds", m.Node), st.Close())
		}
	}
	return st, nil
}

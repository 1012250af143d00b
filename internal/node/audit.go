package node

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/skein-im/skein/internal/audit"
	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/pebble"
)

// Audit audits the store that the settings name, together with the data
// directories of other regions. Nobody may be serving them.
func Audit(ctx context.Context, cfg config.Config, log *slog.Logger, others ...string) (*audit.Report, error) {
	if cfg.Store == config.StoreRedis && len(others) > 0 {
		return nil, im.Errorf(im.Invalid, "--region-data names directories of embedded stores; a region on Redis is audited alone")
	}
	if cfg.Store == config.StoreRedis {
		return auditShared(ctx, cfg, log)
	}
	return auditDirectories(ctx, append([]string{cfg.Data}, others...), log)
}

// auditDirectories audits embedded stores: one, or those of all regions.
func auditDirectories(ctx context.Context, dirs []string, log *slog.Logger) (_ *audit.Report, err error) {
	var stores []audit.Source
	for _, dir := range dirs {
		// Opening would make what is not there.
		if files, err := os.ReadDir(dir); err != nil || len(files) == 0 {
			return nil, im.Errorf(im.NotFound, "there is no store in %s", dir)
		}
		st, err := pebble.Open(dir, pebble.Options{Logger: log})
		if err != nil {
			return nil, err
		}
		defer closeStore(st, &err)
		stores = append(stores, st)
	}
	return audit.Run(ctx, audit.Regions(stores...))
}

// closeStore closes a store, and adds what goes wrong to err.
func closeStore(st *pebble.Store, err *error) { *err = errors.Join(*err, st.Close()) }

// auditShared audits a store that nodes share. What they write meanwhile would
// look like errors, so none with mailboxes may be there.
func auditShared(ctx context.Context, cfg config.Config, log *slog.Logger) (*audit.Report, error) {
	st, err := openRedis(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	members, err := cluster.Read(ctx, st, log)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.Roles != "" {
			return nil, im.Errorf(im.Unavailable, "node %s is there: stop all nodes with mailboxes first; one that died is forgotten after some seconds", m.Node)
		}
	}
	return audit.Run(ctx, st)
}

package node

import (
	"context"
	"log/slog"
	"os"

	"github.com/skein-im/skein/internal/audit"
	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/pebble"
)

// Audit audits the store that the settings name. Nobody may be serving it.
func Audit(ctx context.Context, cfg config.Config, log *slog.Logger) (*audit.Report, error) {
	if cfg.Store == config.StoreRedis {
		return auditShared(ctx, cfg, log)
	}
	// Opening would make what is not there.
	if files, err := os.ReadDir(cfg.Data); err != nil || len(files) == 0 {
		return nil, im.Errorf(im.NotFound, "there is no store in %s", cfg.Data)
	}
	st, err := pebble.Open(cfg.Data, pebble.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	r, err := audit.Run(ctx, st)
	if cerr := st.Close(); err == nil {
		err = cerr
	}
	return r, err
}

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

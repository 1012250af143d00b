package bench

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/postgres"
	"github.com/skein-im/skein/internal/store/postgres/pgtest"
)

// storeServers are those of a store that is measured alone.
type storeServers struct{ *pgtest.Cluster }

func startStoreServers(standbys int) (*storeServers, error) {
	c, err := pgtest.StartCluster(standbys, min(standbys, 1))
	return &storeServers{c}, err
}

func (s *storeServers) open(ctx context.Context) (store.Store, error) {
	st, err := postgres.Open(ctx, postgres.Options{
		URL: pgtest.URL(s.Servers...), Standbys: postgres.FromServer, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	return st, nil
}

// disk is what tables and indexes take on one server, without its log.
func (s *storeServers) disk(ctx context.Context) (uint64, error) {
	size, err := s.Primary.Query(ctx, "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "+
		"WHERE c.relkind = 'r' AND n.nspname = '"+postgres.DefaultSchema+"'")
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(size[0], 10, 64)
}

// cpu is the processor time that they have used; none, if there are none.
func (s *storeServers) cpu() (sum time.Duration) {
	if s == nil {
		return 0
	}
	return cpuOf(s.PIDs())
}

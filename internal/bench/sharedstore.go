package bench

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/skein-im/skein/internal/store/postgres/pgtest"
	"github.com/skein-im/skein/internal/store/redis/redistest"
)

// The stores that a run can start by itself.
const (
	StorePebble   = "pebble"
	StoreRedis    = "redis"
	StorePostgres = "postgres"
)

// findStore says whether the servers of a store are installed.
func findStore(kind string) (err error) {
	switch kind {
	case StoreRedis:
		_, err = redistest.Find()
	case StorePostgres:
		_, err = pgtest.Find()
	default:
		err = fmt.Errorf("store: %s or %s", StoreRedis, StorePostgres)
	}
	return err
}

// sharedStore is the servers that nodes share, and the settings by which they
// find them.
type sharedStore struct {
	args []string
	pids func() []int
	stop func() error
}

// cpu is the processor time that they have used.
func (s *sharedStore) cpu() time.Duration { return cpuOf(s.pids()) }

// cpuOf is that of processes that are still there.
func cpuOf(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		if u, err := processUsage(pid); err == nil {
			sum += u.cpu
		}
	}
	return sum
}

// startShared starts the servers of a run.
func startShared(cfg *ScaleConfig) (*sharedStore, error) {
	if cfg.Store == StorePostgres {
		return startPostgres(cfg)
	}
	return startRedis(cfg)
}

func startRedis(cfg *ScaleConfig) (*sharedStore, error) {
	c, err := startRedisServers(cfg)
	if err != nil {
		return nil, err
	}
	args := []string{"--store", StoreRedis, "--redis", strings.Join(c.Addrs(), ",")}
	if cfg.Cluster {
		args = append(args, "--redis-replicas", strconv.Itoa(cfg.Confirm))
	}
	return &sharedStore{args: args, stop: c.Stop, pids: func() (pids []int) {
		for _, s := range c.Servers {
			pids = append(pids, s.PIDs()...)
		}
		return pids
	}}, nil
}

func startRedisServers(cfg *ScaleConfig) (*redistest.Cluster, error) {
	if cfg.Cluster {
		return redistest.StartCluster(3, cfg.Replicas, redistest.ClusterSettings()...)
	}
	s, err := redistest.Start(redistest.Safe()...)
	return &redistest.Cluster{Servers: []*redistest.Server{s}, Primaries: 1}, err
}

func startPostgres(cfg *ScaleConfig) (*sharedStore, error) {
	standbys := 0
	if cfg.Cluster {
		standbys = cfg.Replicas
	}
	c, err := pgtest.StartCluster(standbys, min(standbys, cfg.Confirm))
	if err != nil {
		return nil, err
	}
	args := []string{"--store", StorePostgres, "--postgres", pgtest.URL(c.Servers...)}
	return &sharedStore{args: args, stop: c.Stop, pids: c.PIDs}, nil
}

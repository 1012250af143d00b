package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"

	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/postgres"
	"github.com/skein-im/skein/internal/store/redis"
)

// engine is a store that nodes share.
type engine interface {
	store.Store
	store.Lister
}

// openEngine connects to the shared store that the settings name.
func openEngine(ctx context.Context, cfg *config.Config, log *slog.Logger) (engine, error) {
	if cfg.Store == config.StorePostgres {
		opts, err := postgresOptions(cfg)
		if err != nil {
			return nil, err
		}
		opts.Logger = log
		return asEngine(postgres.Open(ctx, opts))
	}
	opts, err := redisOptions(cfg)
	if err != nil {
		return nil, err
	}
	opts.Logger = log
	return asEngine(redis.Open(ctx, opts))
}

// lookAtEngine connects to it to read what it says of nodes and slots, of which a
// part may be away. It does not wait for long.
func lookAtEngine(ctx context.Context, cfg *config.Config, log *slog.Logger) (engine, error) {
	if cfg.Store == config.StorePostgres {
		return openEngine(ctx, cfg, log)
	}
	opts, err := redisOptions(cfg)
	if err != nil {
		return nil, err
	}
	opts.Logger, opts.Timeout = log, lookPatience
	return asEngine(redis.Look(ctx, opts))
}

// asEngine is nil if there is an error, and not an engine without a value.
func asEngine[E engine](e E, err error) (engine, error) {
	if err != nil {
		return nil, err
	}
	return e, nil
}

// redisOptions are the settings of the engine on Redis.
func redisOptions(cfg *config.Config) (opts redis.Options, err error) {
	opts = redis.Options{
		Addresses: cfg.RedisAddresses(), Username: cfg.RedisUser, PasswordFile: cfg.RedisPasswordFile,
		Prefix: cfg.RedisPrefix, Replicas: cfg.RedisReplicas,
	}
	opts.TLS, err = authorities(cfg.RedisCA, "Redis")
	return opts, err
}

// postgresOptions are those of the engine on PostgreSQL.
func postgresOptions(cfg *config.Config) (opts postgres.Options, err error) {
	opts = postgres.Options{
		URL: cfg.Postgres, PasswordFile: cfg.PostgresPasswordFile, Schema: cfg.PostgresSchema, Standbys: cfg.PostgresStandbys,
	}
	opts.TLS, err = authorities(cfg.PostgresCA, "PostgreSQL")
	return opts, err
}

// authorities are those that servers of a kind must be certified by; nil: none
// are named.
func authorities(file, kind string) (*tls.Config, error) {
	switch file {
	case "":
		return nil, nil
	case "system":
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the authorities for %s: %w", kind, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: there is no certificate in it", file)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, nil
}

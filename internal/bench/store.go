package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/pebble"
	"github.com/skein-im/skein/internal/wire"
)

// StoreConfig is what Store is asked to do.
type StoreConfig struct {
	Messages int    `json:"messages"`
	Users    int    `json:"users"`
	Friends  int    `json:"friends"`
	Seed     uint64 `json:"seed"`
	Body     int    `json:"body"`
	// Batch is how many messages one commit accepts, besides the ones it
	// delivers.
	Batch int `json:"batch"`
	// Shards is how many goroutines commit.
	Shards int `json:"shards"`
	// Store is StorePebble, or StorePostgres: a server that the run starts, with
	// Standbys, any one of which confirms every commit.
	Store    string `json:"store"`
	Standbys int    `json:"standbys,omitempty"`
	// Data is the directory in which the store gets one of its own, which
	// is removed afterwards; empty: the system's for temporary files.
	Data    string `json:"-"`
	Version string `json:"-"`
	// Open opens the store to measure, which is empty at first; nil: the
	// embedded one, in a directory of its own.
	Open func(ctx context.Context) (store.Store, error) `json:"-"`
}

// DefaultStoreConfig has the messages of DefaultChatConfig.
func DefaultStoreConfig() StoreConfig {
	return StoreConfig{Messages: 150_000, Users: 1000, Friends: 30, Seed: 1, Body: 256, Batch: 64, Shards: 2, Store: StorePebble}
}

// maxRecorded bounds the memory that a record takes.
const maxRecorded = 4 << 30

// Validate reports the first setting that cannot work.
func (c *StoreConfig) Validate() error {
	switch {
	case c.Body < MinBody || c.Body > im.MaxBody:
		return fmt.Errorf("body: between %d and %d bytes", MinBody, im.MaxBody)
	case c.Messages < 1 || c.Messages > maxRecorded/(3*c.Body+600):
		return fmt.Errorf("messages: between 1 and %d of this size, since all are made beforehand", maxRecorded/(3*c.Body+600))
	case c.Batch < 1 || c.Batch > 4096:
		return fmt.Errorf("batch: between 1 and 4096 messages")
	case c.Shards < 1 || c.Shards > 256:
		return fmt.Errorf("shards: between 1 and 256")
	case c.Store != StorePebble && c.Store != StorePostgres:
		return fmt.Errorf("store: %s or %s", StorePebble, StorePostgres)
	case c.Standbys < 0 || c.Standbys > 4:
		return fmt.Errorf("standbys: between 0 and 4")
	}
	return nil
}

// StoreResult is the outcome of Store.
type StoreResult struct {
	Good        bool        `json:"good"`
	Config      StoreConfig `json:"config"`
	Environment Environment `json:"environment"`
	Tally
	Seconds    float64 `json:"seconds"`
	MsgsPerSec float64 `json:"msgs_per_sec"`
	// CommitMS is how long commits took.
	CommitMS Percentiles `json:"commit_ms"`
	Commits  uint64      `json:"commits"`
	// Entries and Records were written, Bytes in all.
	Entries uint64  `json:"entries"`
	Records uint64  `json:"records"`
	Bytes   uint64  `json:"bytes"`
	CPU     float64 `json:"cpu_us_per_msg"`
	// ServersCPU is what the store's own servers took, if it has some.
	ServersCPU float64 `json:"servers_cpu_us_per_msg,omitempty"`
	DiskBytes  uint64  `json:"disk_bytes"`
}

// WriteSummary tells a person.
func (r *StoreResult) WriteSummary(w io.Writer) {
	c := &r.Config
	fmt.Fprintf(w, "%s alone: %d users, %d bytes, %d messages per commit, %d shards\n", c.Store, c.Users, c.Body, c.Batch, c.Shards)
	r.writeTally(w)
	fmt.Fprintf(w, "  speed       %.0f messages/s over %.2f s\n", r.MsgsPerSec, r.Seconds)
	writePercentiles(w, "committed", &r.CommitMS)
	fmt.Fprintf(w, "  written     %d commits, %d entries, %d records, %.1f MiB; on disk %.1f MiB\n",
		r.Commits, r.Entries, r.Records, mib(r.Bytes), mib(r.DiskBytes))
	fmt.Fprintf(w, "  CPU         %.1f us per message", r.CPU)
	if r.ServersCPU > 0 {
		fmt.Fprintf(w, ", and %.1f us in the servers", r.ServersCPU)
	}
	fmt.Fprintln(w)
}

// Store commits the changes of a chat, and nothing else, as fast as the
// store takes them; then it opens the store again and checks that
// every message is there. The changes are made beforehand and take no time.
func Store(ctx context.Context, cfg StoreConfig) (_ *StoreResult, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	data, err := NewDataset(cfg.Users, cfg.Friends, cfg.Seed)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(cfg.Data, "skein-bench-store-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &storeBench{cfg: &cfg, data: data, dir: dir, commits: newLatencies()}
	if cfg.Store == StorePostgres {
		if b.servers, err = startStoreServers(cfg.Standbys); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, b.servers.Stop()) }()
		cfg.Open = b.servers.open
	}
	res, err := b.fill(ctx)
	if err != nil {
		return nil, err
	}
	if res.DiskBytes, err = b.disk(ctx); err != nil {
		return nil, err
	}
	if err := b.verify(ctx, &res.Tally); err != nil {
		return nil, err
	}
	res.Good = res.Tally.Good()
	return res, nil
}

type storeBench struct {
	cfg     *StoreConfig
	data    *Dataset
	dir     string
	run     uint64
	commits *latencies
	// servers are nil for an embedded store.
	servers *storeServers
}

// disk is the room that the store takes, on one of its servers.
func (b *storeBench) disk(ctx context.Context) (uint64, error) {
	if b.servers != nil {
		return b.servers.disk(ctx)
	}
	return diskUsage(b.dir)
}

func (b *storeBench) open(ctx context.Context) (store.Store, error) {
	if b.cfg.Open != nil {
		return b.cfg.Open(ctx)
	}
	return pebble.Open(filepath.Join(b.dir, "store"), pebble.Options{Logger: slog.New(slog.DiscardHandler)})
}

// fill records a chat and commits it.
func (b *storeBench) fill(ctx context.Context) (_ *StoreResult, err error) {
	if b.run, err = newRunID(); err != nil {
		return nil, err
	}
	st, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	slots := make([]im.Slot, im.Slots)
	for i := range slots {
		slots[i] = im.Slot(i)
	}
	epochs, err := st.Acquire(ctx, "bench", slots)
	if err != nil {
		return nil, err
	}
	rec := newRecorder(b.cfg, b.data, b.run, epochs)
	if err := rec.provision(); err != nil {
		return nil, err
	}
	if err := b.replay(ctx, st, rec); err != nil {
		return nil, err
	}
	rec.entries, rec.records, rec.bytes = 0, 0, 0
	if err := rec.chat(b.cfg.Messages); err != nil {
		return nil, err
	}
	b.commits = newLatencies()
	commits := rec.batches()
	runtime.GC()
	began, cpu, theirs := time.Now(), ownCPU(), b.servers.cpu()
	if err := b.replay(ctx, st, rec); err != nil {
		return nil, err
	}
	res := b.result(rec, commits, time.Since(began), ownCPU()-cpu)
	res.ServersCPU = cpuPer(b.servers.cpu()-theirs, rec.sent)
	return res, nil
}

func (b *storeBench) result(rec *recorder, commits int, took, cpu time.Duration) *StoreResult {
	n := float64(rec.sent)
	res := &StoreResult{
		Config: *b.cfg, Environment: newEnvironment(b.cfg.Version),
		Seconds: took.Seconds(), MsgsPerSec: n / took.Seconds(), CommitMS: b.commits.percentiles(), Commits: uint64(commits),
		Entries: rec.entries, Records: rec.records, Bytes: rec.bytes,
		CPU: float64(cpu) / float64(time.Microsecond) / n,
	}
	res.Tally = Tally{Sent: rec.sent, Acked: rec.sent, Expected: rec.sent}
	return res
}

func (r *recorder) batches() int {
	n := 0
	for _, s := range r.shards {
		n += len(s.batches)
	}
	return n
}

// replay commits what was recorded, each shard's batches in order.
func (b *storeBench) replay(ctx context.Context, st store.Store, rec *recorder) error {
	group, ctx := errgroup.WithContext(ctx)
	for i, s := range rec.shards {
		group.Go(func() error {
			for _, batch := range s.batches {
				if err := ctx.Err(); err != nil {
					return err
				}
				began := time.Now()
				if err := st.Commit(ctx, batch); err != nil {
					return err
				}
				b.commits.record(i, int64(time.Since(began)))
			}
			s.batches = nil
			return nil
		})
	}
	return group.Wait()
}

// verify opens the store again and reads every user's timeline.
func (b *storeBench) verify(ctx context.Context, t *Tally) (err error) {
	st, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	ids := make([]im.UserID, b.data.Users)
	for i := range ids {
		ids[i] = im.UserID(i + 1)
	}
	who := &accounts{ids: ids}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for user := 1; user <= b.data.Users; user++ {
		group.Go(func() error {
			l := newLedger(b.run, user, who.friendsOf(b.data, user), b.data.Friends[user-1])
			if err := readTimeline(ctx, st, im.UserID(user), l); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			t.Delivered += l.delivered.Load()
			t.Duplicated += l.duplicated
			t.Reordered += l.reordered
			t.Damaged += l.damaged
			return nil
		})
	}
	err = group.Wait()
	t.Lost = t.Expected - min(t.Expected, t.Delivered)
	return err
}

// readTimeline takes all that a user received.
func readTimeline(ctx context.Context, st store.Store, user im.UserID, l *ledger) error {
	for from := im.Seq(1); ; {
		page, err := st.ReadLog(ctx, im.User(user), from, 1000, 1<<20)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, le := range page {
			visible, err := entity.Visible(le)
			if err != nil {
				return err
			}
			var e wire.Entry
			if err := e.Unmarshal(visible); err != nil {
				return err
			}
			if le.Seq != from || e.Seq != from {
				return fmt.Errorf("user %d has entry %d, numbered %d, where %d should be", user, le.Seq, e.Seq, from)
			}
			from++
			if e.Kind == wire.EntryMessage && !e.Outgoing {
				l.take(e.Peer, e.Content.Body, 0)
			}
		}
	}
}

// diskUsage is the size of all files below a directory.
func diskUsage(dir string) (uint64, error) {
	var sum uint64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += uint64(info.Size())
		}
		return err
	})
	return sum, err
}

package bench

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

func smallStore(t *testing.T) StoreConfig {
	cfg := DefaultStoreConfig()
	cfg.Messages, cfg.Users, cfg.Friends, cfg.Batch, cfg.Data = 24_000, 20, 4, 16, t.TempDir()
	return cfg
}

func TestStoreKeepsAChat(t *testing.T) {
	cfg := smallStore(t)
	res, err := Store(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Tally{Sent: 24_000, Acked: 24_000, Delivered: 24_000, Expected: 24_000}); !res.Good || res.Tally != want {
		t.Errorf("good %v, %+v", res.Good, res.Tally)
	}
	// One entry for the sender and one for the receiver, with the body in
	// each; snapshots besides.
	if res.Entries != 48_000 || res.Records == 0 || res.Bytes < 48_000*256 || res.DiskBytes < res.Bytes/2 || res.Commits < 24_000/(2*16) {
		t.Errorf("result %+v", res)
	}
	if left, err := os.ReadDir(cfg.Data); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	var sum strings.Builder
	NewComparison(&ChatResult{MsgsPerSec: res.MsgsPerSec / 4}, res).WriteSummary(&sum)
	if !strings.Contains(sum.String(), "25%") || !strings.Contains(sum.String(), "once and in order") {
		t.Errorf("summary %q", sum.String())
	}
}

// The record is of the same messages every time.
func TestRecordsAreReproducible(t *testing.T) {
	cfg := smallStore(t)
	size := func() (uint64, uint64, int) {
		data, err := NewDataset(cfg.Users, cfg.Friends, cfg.Seed)
		if err != nil {
			t.Fatal(err)
		}
		rec := newRecorder(&cfg, data, 1, fullEpochs())
		if err := rec.provision(); err != nil {
			t.Fatal(err)
		}
		if err := rec.chat(500); err != nil {
			t.Fatal(err)
		}
		return rec.bytes, rec.records, rec.batches()
	}
	b1, r1, n1 := size()
	b2, r2, n2 := size()
	if b1 != b2 || r1 != r2 || n1 != n2 {
		t.Errorf("%d bytes, %d records, %d batches, then %d, %d, %d", b1, r1, n1, b2, r2, n2)
	}
}

func fullEpochs() []im.Epoch {
	epochs := make([]im.Epoch, im.Slots)
	for i := range epochs {
		epochs[i] = 1
	}
	return epochs
}

// shortLog is a store that lacks a user's last entries, or has one twice.
type shortLog struct {
	store.Store
	entries []im.LogEntry
}

func (s shortLog) ReadLog(_ context.Context, _ im.Addr, from im.Seq, _, _ int) ([]im.LogEntry, error) {
	if int(from) > len(s.entries) {
		return nil, nil
	}
	return s.entries[from-1:], nil
}

func TestVerificationOfAStore(t *testing.T) {
	cfg := smallStore(t)
	cfg.Shards, cfg.Users, cfg.Friends = 1, 2, 1
	data, err := NewDataset(2, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	rec := newRecorder(&cfg, data, 1, fullEpochs())
	if err := rec.provision(); err != nil {
		t.Fatal(err)
	}
	if err := rec.chat(20); err != nil {
		t.Fatal(err)
	}
	var log []im.LogEntry
	for _, b := range rec.shards[0].batches {
		for _, c := range b.Changes {
			for i, v := range c.Append {
				if c.Addr == im.User(1) {
					log = append(log, im.LogEntry{Seq: c.First + im.Seq(i), Value: v})
				}
			}
		}
	}
	check := func(entries []im.LogEntry) (*ledger, error) {
		l := newLedger(1, 1, userIDs(2), []int{2})
		return l, readTimeline(t.Context(), shortLog{entries: entries}, 1, l)
	}
	if l, err := check(log); err != nil || l.delivered.Load() != 10 || l.duplicated+l.reordered+l.damaged != 0 {
		t.Errorf("%d delivered, %v", l.delivered.Load(), err)
	}
	if l, err := check(log[:len(log)/2]); err != nil || l.delivered.Load() >= 10 {
		t.Errorf("half a log: %d delivered, %v", l.delivered.Load(), err)
	}
	if _, err := check(log[1:]); err == nil {
		t.Error("a log without its first entry is whole")
	}
}

func TestStoreConfigs(t *testing.T) {
	for name, change := range map[string]func(*StoreConfig){
		"no messages":  func(c *StoreConfig) { c.Messages = 0 },
		"too many":     func(c *StoreConfig) { c.Messages = 1 << 30 },
		"small bodies": func(c *StoreConfig) { c.Body = 1 },
		"no batch":     func(c *StoreConfig) { c.Batch = 0 },
		"no shards":    func(c *StoreConfig) { c.Shards = 0 },
		"no users":     func(c *StoreConfig) { c.Users = 0 },
	} {
		cfg := smallStore(t)
		change(&cfg)
		if _, err := Store(t.Context(), cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

//go:build unix

package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/mailbox"
)

// BenchmarkMemory has mailboxes exchange messages of 256 random bytes among 200
// users with a device each, which acknowledge everything, and reports what a
// server holds more afterwards, for each message and for each user. One operation
// is one message.
//
//	go test -run - -bench Memory -benchtime 40000x ./internal/store/redis
func BenchmarkMemory(b *testing.B) {
	for _, kept := range []int{0, 100, 20} {
		name := fmt.Sprint("keep=", kept)
		if kept == 0 {
			name = "keep=all"
		}
		b.Run(name, func(b *testing.B) { benchmarkMemory(b, entity.Retention{Entries: kept}) })
	}
}

const memoryUsers = 200

func benchmarkMemory(b *testing.B, retain entity.Retention) {
	servers := single(b)
	st := mustOpen(b, options(servers, 0))
	m := &memoryBench{b: b, st: st, retain: retain}
	empty := usedMemory(b, servers)
	m.life(func(ctx context.Context, do func(im.UserID, im.Command) im.Result) {
		for id := im.UserID(1); id <= memoryUsers; id++ {
			do(id, &im.Provision{Friends: m.friends(id), TokenHashes: [][32]byte{{byte(id)}}})
		}
	})
	before := usedMemory(b, servers)
	b.ResetTimer()
	m.life(m.chat)
	b.StopTimer()
	// What was sent goes when its ack has come: the first life has waited for it.
	m.life(m.tidy)
	after := usedMemory(b, servers)
	b.ReportMetric(float64(before-empty)/memoryUsers, "bytes/user")
	b.ReportMetric(float64(after-before)/float64(b.N), "bytes/msg")
	b.ReportMetric(float64(after-before)/memoryUsers, "history-bytes/user")
}

type memoryBench struct {
	b      *testing.B
	st     *Store
	retain entity.Retention
}

// life runs a mailbox as long as do takes.
func (m *memoryBench) life(f func(ctx context.Context, do func(im.UserID, im.Command) im.Result)) {
	cfg := mailbox.DefaultConfig()
	cfg.Logger, cfg.Admission.Threshold, cfg.Core.Retain = quiet(), 0, m.retain
	box := mailbox.New(cfg, m.st)
	ctx := context.Background()
	if err := box.Start(ctx); err != nil {
		m.b.Fatal(err)
	}
	defer box.Stop()
	f(ctx, func(user im.UserID, cmd im.Command) im.Result {
		res, err := im.Do(ctx, box, im.User(user), cmd)
		if err != nil {
			m.b.Errorf("user %d: %T: %v", user, cmd, err)
		}
		return res
	})
}

func (m *memoryBench) friends(id im.UserID) (friends []im.UserID) {
	for f := im.UserID(1); f <= memoryUsers; f++ {
		if f != id {
			friends = append(friends, f)
		}
	}
	return friends
}

// chat sends the messages, those of a user one after another.
func (m *memoryBench) chat(_ context.Context, do func(im.UserID, im.Command) im.Result) {
	var users sync.WaitGroup
	for id := im.UserID(1); id <= memoryUsers; id++ {
		users.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(id)))
			body := make([]byte, 256)
			for n := int(id) - 1; n < m.b.N; n += memoryUsers {
				for i := range body {
					body[i] = byte(rng.Uint32())
				}
				to := im.UserID(1 + (uint64(id)+uint64(rng.IntN(memoryUsers-1)))%memoryUsers)
				do(id, &im.Send{To: to, Device: 1, Content: im.Content{Type: im.ContentCustom, Body: append([]byte(nil), body...)}})
			}
		})
	}
	users.Wait()
}

// tidy has every device acknowledge all there is.
func (m *memoryBench) tidy(_ context.Context, do func(im.UserID, im.Command) im.Result) {
	for id := im.UserID(1); id <= memoryUsers; id++ {
		c, ok := do(id, &im.Counters{}).(*im.CountersInfo)
		if !ok {
			return
		}
		do(id, &im.AckDelivered{Device: 1, Seq: c.Head})
		do(id, &im.Tidy{})
	}
}

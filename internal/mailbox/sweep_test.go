package mailbox

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/memstore"
)

// Users who do nothing any more have their history trimmed too.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memstore.New(time.Now)
		cfg := DefaultConfig()
		cfg.Logger, cfg.Admission.Threshold, cfg.Sweep = slog.New(slog.DiscardHandler), 0, 2*time.Minute
		cfg.Core.Retain = entity.Retention{Age: 3600 * 1000}
		m := New(cfg, st)
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		const users, messages = 40, 10
		for id := im.UserID(1); id <= users; id++ {
			provision(t, m, id, id%users+1, (id+users-2)%users+1)
		}
		for id := im.UserID(1); id <= users; id++ {
			for n := range messages {
				must(t, m, id, &im.Send{To: id%users + 1, Device: 1, Content: text(fmt.Sprint(n))})
			}
		}
		time.Sleep(10 * time.Second)
		for id := im.UserID(1); id <= users; id++ {
			must(t, m, id, &im.AckDelivered{Device: 1, Seq: 2 * messages})
		}
		time.Sleep(50 * time.Minute)
		if n := m.Stats().Trimmed; n != 0 {
			t.Errorf("%d entries are gone too early", n)
		}
		time.Sleep(20 * time.Minute)
		if n := m.Stats().Trimmed; n != users*(2*messages-1) {
			t.Errorf("%d entries are gone, want all but %d", n, users)
		}
		if swept := m.Stats().Swept; swept < 33*users || swept > 36*users {
			t.Errorf("%d users were looked at in 35 rounds", swept)
		}
		m.Stop()
	})
}

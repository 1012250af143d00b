package article

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/skein-im/skein/internal/account/fakemailbox"
	"github.com/skein-im/skein/internal/im"
)

func TestLoadGivesUp(t *testing.T) {
	for kind, want := range map[im.ErrorKind]int{im.Unavailable: loadAttempts, im.AlreadyExists: 1} {
		synctest.Test(t, func(t *testing.T) {
			m := &fakemailbox.Mailbox{}
			tries := 0
			m.Hook = func(to im.Addr, _ im.Command) error {
				if to != im.User(1) {
					return nil
				}
				tries++
				return im.Errorf(kind, "no")
			}
			err := Load(t.Context(), m, ring(1), nil)
			if im.KindOf(err) != kind || !strings.Contains(err.Error(), "user 1") || tries != want {
				t.Errorf("%v after %d tries, want %v after %d", err, tries, kind, want)
			}
		})
	}
}

func TestLoadStopsWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakemailbox.Mailbox{}
		m.Hook = func(im.Addr, im.Command) error { return im.Errorf(im.Busy, "full") }
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- Load(ctx, m, ring(1000), nil) }()
		synctest.Wait()
		cancel()
		if err := <-result; err == nil {
			t.Error("no error")
		}
	})
}

func TestLoadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakemailbox.Mailbox{}
		var mu sync.Mutex
		var waiting []chan struct{}
		m.Hook = func(im.Addr, im.Command) error {
			gate := make(chan struct{})
			mu.Lock()
			waiting = append(waiting, gate)
			mu.Unlock()
			<-gate
			return nil
		}
		result := make(chan error, 1)
		go func() { result <- Load(t.Context(), m, ring(loading*2), nil) }()
		for range 2 {
			synctest.Wait()
			mu.Lock()
			if len(waiting) != loading {
				t.Errorf("%d under way, want %d", len(waiting), loading)
			}
			for _, gate := range waiting {
				close(gate)
			}
			waiting = nil
			mu.Unlock()
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

//go:build unix

package supervise

import (
	"context"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

func TestDrain(t *testing.T) {
	c := start(t, 3, "good")
	if err := c.Drain(t.Context(), "now"); err != nil {
		t.Error(err)
	}
	if n := strings.Count(c.stderr.String(), `drained asked "now"`+"\n"); n != 3 {
		t.Errorf("%d drained: %s", n, c.stderr)
	}
	for _, w := range c.Workers() {
		if w.State != Stopped || w.PID != 0 || w.LastError != "" {
			t.Errorf("%+v", w)
		}
	}
	if err := c.Ask(t.Context(), 0, "echo", 1, nil); im.KindOf(err) != im.Unavailable {
		t.Error(err)
	}
	if err := c.Drain(t.Context(), "again"); err != nil {
		t.Error(err)
	}
}

func TestADrainThatFailsIsReported(t *testing.T) {
	c := start(t, 2, "good")
	if err := c.Drain(t.Context(), "fail"); err == nil || strings.Count(err.Error(), "exit status 1") != 2 {
		t.Error(err)
	}
}

func TestADrainThatTakesTooLongKills(t *testing.T) {
	c := start(t, 2, "good")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		c.await(0, Draining)
		c.stderr.await("drained asked")
		cancel()
	}()
	err := c.Drain(ctx, "hang")
	if im.KindOf(err) != im.Unavailable || !strings.Contains(err.Error(), "2 of 2 workers") {
		t.Error(err)
	}
}

func TestStopEndsADrain(t *testing.T) {
	c := start(t, 2, "good")
	drained := make(chan error, 1)
	go func() { drained <- c.Drain(context.Background(), "hang") }()
	c.await(0, Draining)
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-drained; err == nil {
		t.Error("a drain that was cut short is no error")
	}
}

func TestDrainDoesNotWaitForAWorkerThatIsNotThere(t *testing.T) {
	c := start(t, 1, "good")
	_ = c.Ask(t.Context(), 0, "exit", 1, nil)
	c.await(0, Waiting)
	if err := c.Drain(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if w := c.Workers()[0]; w.State != Stopped {
		t.Errorf("%+v", w)
	}
}

package api

import (
	"testing"

	"connectrpc.com/connect"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

// A device that asks for too much is told when to come back; strangers are not
// counted under its name.
func TestLimit(t *testing.T) {
	left := map[bool]int{true: 1, false: 1}
	f := newFixture(t, func(c *Config) {
		c.Limit = func(_ im.UserID, _ im.DeviceID, send bool) error {
			if left[send]--; left[send] < 0 {
				return &im.Error{Kind: im.Busy, RetryAfterMS: 70, Detail: "too much"}
			}
			return nil
		}
	})
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	c := dial(srv, token)
	_, err := dial(srv, token+"x").Counters(t.Context(), connect.NewRequest(&skeinv1.CountersRequest{}))
	wantError(t, "a stranger", err, connect.CodeUnauthenticated, im.Unauthenticated)
	must(t)(c.Counters(t.Context(), connect.NewRequest(&skeinv1.CountersRequest{})))
	_, err = c.Counters(t.Context(), connect.NewRequest(&skeinv1.CountersRequest{}))
	wantError(t, "the second call", err, connect.CodeResourceExhausted, im.Busy)
	if d := detail(err); d.GetRetryAfterMs() != 70 {
		t.Errorf("it is to come back after %d ms", d.GetRetryAfterMs())
	}
	must(t)(c.Send(t.Context(), connect.NewRequest(&skeinv1.SendRequest{To: 2, Content: text("hi")})))
	_, err = c.Send(t.Context(), connect.NewRequest(&skeinv1.SendRequest{To: 2, Content: text("hi")}))
	wantError(t, "the second send", err, connect.CodeResourceExhausted, im.Busy)
}

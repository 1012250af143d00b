package api

import (
	"context"
	"testing"

	"connectrpc.com/connect"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

func TestNotify(t *testing.T) {
	var got Notice
	f := newFixture(t, func(c *Config) {
		c.Notify = func(_ context.Context, n Notice) (uint64, error) {
			got = n
			return 7, nil
		}
	})
	srv := f.server(t, nil)
	op := dial(srv, operatorToken)
	res, err := op.Notify(t.Context(), connect.NewRequest(&skeinv1.NotifyRequest{Content: text("back at ten")}))
	if err != nil {
		t.Fatal(err)
	}
	if res.Msg.Reached != 7 || res.Msg.Id != got.ID || got.ID == 0 || got.Time == 0 || string(got.Content.Body) != "back at ten" {
		t.Fatalf("notified %+v, answered %+v", got, res.Msg)
	}
	_, err = op.Notify(t.Context(), connect.NewRequest(&skeinv1.NotifyRequest{Content: text(string(make([]byte, maxNotice+1)))}))
	wantError(t, "a long notice", err, connect.CodeResourceExhausted, im.TooLarge)
	_, err = op.Notify(t.Context(), connect.NewRequest(&skeinv1.NotifyRequest{}))
	wantError(t, "an empty notice", err, connect.CodeInvalidArgument, im.Invalid)
	device, _ := befriend(t, f.mailbox)
	_, err = dial(srv, device).Notify(t.Context(), connect.NewRequest(&skeinv1.NotifyRequest{Content: text("hi")}))
	wantError(t, "a device's notice", err, connect.CodeUnauthenticated, im.Unauthenticated)
}

func TestNotifyWithoutLinks(t *testing.T) {
	f := newFixture(t, nil)
	_, err := dial(f.server(t, nil), operatorToken).Notify(t.Context(), connect.NewRequest(&skeinv1.NotifyRequest{Content: text("hi")}))
	wantError(t, "a notice", err, connect.CodeUnimplemented, im.Unimplemented)
}

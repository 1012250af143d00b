package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/clientcore"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// find asks routers, if there are any, where to connect: every attempt tries another
// of the gateways that they name.
func (d *linkDevice) find(ctx context.Context, attempt int) {
	if d.chat.routers == nil {
		return
	}
	list, err := d.chat.routers.Gateways(ctx, d.chat.who.ids[d.user-1], routed)
	if err != nil {
		d.chat.say("user %d: %v", d.user, err)
		return
	}
	d.addr = "tcp://" + list[attempt%len(list)].Link
}

// routed is how many gateways a router is asked for.
const routed = 4

// judge decides what to do after a link's end: come back after a while, or
// give up.
func judge(err error) (after time.Duration, final error) {
	var closed *link.CloseError
	if errors.As(err, &closed) {
		if !closed.Code.Reconnect() {
			return 0, err
		}
		return closed.RetryAfter, nil
	}
	return 0, nil
}

// connect opens a link and logs in.
func (d *linkDevice) connect(ctx context.Context) (*link.ClientConn, error) {
	d.chat.dialing <- struct{}{}
	defer func() { <-d.chat.dialing }()
	conn, err := link.Dial(ctx, d.addr, link.DialOptions{})
	if err != nil {
		return nil, err
	}
	if err := d.login(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func (d *linkDevice) login(conn *link.ClientConn) error {
	d.mu.Lock()
	frame, err := d.core.AppendHello(nil, &skeinv1.Hello{Token: d.token, Agent: "skein-bench"})
	d.mu.Unlock()
	if err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(loginTimeout)); err != nil {
		return err
	}
	if err := conn.Write(frame); err != nil {
		return err
	}
	t, payload, err := conn.ReadFrame()
	if err != nil {
		return err
	}
	if t == wire.TypeClose {
		return closeError(payload)
	}
	w := new(skeinv1.Welcome)
	if t != wire.TypeWelcome {
		return fmt.Errorf("hello was answered with %s", t)
	}
	if err := wire.UnmarshalMessage(payload, w); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn = conn
	d.lastRead = d.chat.now()
	d.lastWrite = d.lastRead
	d.core.Welcome(clientcore.WelcomeOf(w))
	d.topUp()
	d.flush()
	return nil
}

// closeError reads a Close frame.
func closeError(payload []byte) error {
	var m skeinv1.Close
	if err := wire.UnmarshalMessage(payload, &m); err != nil {
		return err
	}
	return &link.CloseError{
		Code: im.CloseCode(m.GetCode()), Reason: m.GetReason(),
		RetryAfter: time.Duration(m.GetRetryAfterMs()) * time.Millisecond, Addresses: m.GetAddresses(),
	}
}

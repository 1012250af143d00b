package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/im"
)

// caller is who a request comes from.
type caller struct {
	// user and device are 0 where a method does not ask for credentials.
	user   im.UserID
	device im.DeviceID
	// remote is where failed logins are counted.
	remote string
	// session is what the token's check returned; nil over a link, which
	// was authenticated when it was opened.
	session *account.Session
}

type callerKey struct{}

func callerOf(ctx context.Context) *caller { return ctx.Value(callerKey{}).(*caller) }

// gate checks a request's credentials before its body is read.
func (a *API) gate(m *method) connect.RequestGateFunc {
	return func(ctx context.Context, _ connect.Spec, peer connect.Peer, header http.Header) (context.Context, error) {
		who, begun := &caller{remote: peer.Addr}, time.Now()
		err := a.guarded(ctx, m.access, who, header)
		if err == nil && who.session != nil && a.cfg.Limit != nil {
			err = a.cfg.Limit(who.user, who.device, m.sends())
		}
		if err != nil {
			e := a.settle(m, who, err)
			a.observe(m, e, begun)
			return nil, connectError(e)
		}
		return context.WithValue(ctx, callerKey{}, who), nil
	}
}

// guarded is authenticate, unless the address has shown too many wrong tokens.
func (a *API) guarded(ctx context.Context, need access, who *caller, header http.Header) error {
	if need == anyone || a.cfg.Guard == nil {
		return a.authenticate(ctx, need, who, header)
	}
	if err := a.cfg.Guard.Check(who.remote); err != nil {
		return err
	}
	err := a.authenticate(ctx, need, who, header)
	if im.KindOf(err) == im.Unauthenticated {
		a.cfg.Guard.Failed(who.remote)
	}
	return err
}

func (a *API) authenticate(ctx context.Context, need access, who *caller, header http.Header) error {
	if need == anyone {
		return nil
	}
	token, ok := bearer(header)
	if !ok {
		return im.Errorf(im.Unauthenticated, "this needs the header Authorization: Bearer <token>")
	}
	if need == operator {
		if !a.cfg.Operator.Match(token) {
			return im.Errorf(im.Unauthenticated, "the token is not the operator's")
		}
		return nil
	}
	session, err := a.cfg.Accounts.Authenticate(ctx, token)
	if err != nil {
		return err
	}
	who.user, who.device, who.session = session.User, session.Device, session
	return nil
}

// bearer returns the token of an Authorization header.
func bearer(header http.Header) (string, bool) {
	scheme, token, ok := strings.Cut(header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimLeft(token, " "), true
}

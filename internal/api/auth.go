package api

import (
	"context"
	"net/http"
	"strings"

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
		who := &caller{remote: peer.Addr}
		err := a.authenticate(ctx, m.access, who, header)
		if err == nil && who.session != nil && a.cfg.Limit != nil {
			err = a.cfg.Limit(who.user, who.device, m.sends())
		}
		if err != nil {
			return nil, connectError(a.settle(m, who, err))
		}
		return context.WithValue(ctx, callerKey{}, who), nil
	}
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

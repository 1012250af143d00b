package api

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	rpc "github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
	"github.com/skein-im/skein/internal/im"
)

// access says who may call a method.
type access uint8

const (
	anyone access = iota
	device
	operator
)

// Sizes of request bodies, decompressed.
const (
	maxBody      = 256 << 10
	maxProvision = 16 << 20
)

// method is one row of the table.
type method struct {
	// procedure is the path: "/skein.v1.ContactService/Request".
	procedure string
	access    access
	limit     int
	handler   func(*API, *method) http.Handler
	call      func(context.Context, *API, *method, *caller, []byte) ([]byte, error)
}

// name is how links call it.
func (m *method) name() string { return strings.TrimPrefix(m.procedure, "/") }

// sends reports whether the method sends a message.
func (m *method) sends() bool { return m.procedure == rpc.MessageServiceSendProcedure }

// message is a pointer to a generated message.
type message[T any] interface {
	*T
	proto.Message
}

// answerFunc answers a method.
type answerFunc[Req, Res any] func(*API, context.Context, *caller, *Req) (*Res, error)

// unary makes a row from the function that answers a method.
func unary[Req, Res any, PReq message[Req], PRes message[Res]](
	procedure string, access access, limit int, answer answerFunc[Req, Res],
) *method {
	return &method{
		procedure: procedure,
		access:    access,
		limit:     limit,
		handler: func(a *API, m *method) http.Handler {
			return connect.NewUnaryHandler(procedure,
				func(ctx context.Context, req *connect.Request[Req]) (*connect.Response[Res], error) {
					res, err := run(ctx, a, m, callerOf(ctx), req.Msg, answer)
					if err != nil {
						return nil, connectError(err)
					}
					return connect.NewResponse(res), nil
				}, a.options(m)...)
		},
		call: func(ctx context.Context, a *API, m *method, who *caller, body []byte) ([]byte, error) {
			req := new(Req)
			if err := proto.Unmarshal(body, PReq(req)); err != nil {
				return nil, im.Errorf(im.Invalid, "the body is not a request of %s", m.name())
			}
			res, err := run(ctx, a, m, who, req, answer)
			if err != nil {
				return nil, err
			}
			out, merr := proto.Marshal(PRes(res))
			if merr != nil {
				return nil, a.settle(m, who, merr)
			}
			return out, nil
		},
	}
}

// run answers one request, however it came.
func run[Req, Res any](ctx context.Context, a *API, m *method, who *caller, req *Req,
	answer answerFunc[Req, Res],
) (res *Res, failed *im.Error) {
	start := time.Now()
	var err error
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		failed = a.settle(m, who, err)
		a.observe(m, failed, start)
	}()
	res, err = answer(a, ctx, who, req)
	return res, nil
}

// observe tells of a request that has ended.
func (a *API) observe(m *method, e *im.Error, begun time.Time) {
	if a.cfg.Observe != nil {
		a.cfg.Observe(m.name(), kindOf(e), time.Since(begun))
	}
}

// Call answers one request of an authenticated device that came over a link.
// name is "skein.v1.ContactService/Request"; bodies are protobuf. The error is
// an *im.Error that may be shown to the device.
func (a *API) Call(ctx context.Context, user im.UserID, dev im.DeviceID, name string, body []byte) ([]byte, error) {
	m := a.byName[name]
	switch {
	case m == nil:
		return nil, im.Errorf(im.Unimplemented, "there is no method of this name")
	case m.access == operator:
		return nil, im.Errorf(im.PermissionDenied, "only the operator may call this, over HTTP")
	case len(body) > m.limit:
		return nil, errBodyTooLarge(m.limit)
	}
	who := &caller{user: user, device: dev, remote: im.User(user).String()}
	out, err := m.call(ctx, a, m, who, body)
	if err != nil {
		return nil, im.AsError(err)
	}
	if len(out) > maxAnswer {
		return nil, im.Errorf(im.TooLarge, "the answer is too large for a link; ask over HTTP")
	}
	return out, nil
}

// maxAnswer leaves room for what surrounds an answer in its frame.
const maxAnswer = im.MaxServerFrame - 64

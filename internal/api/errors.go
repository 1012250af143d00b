package api

import (
	"errors"
	"net/http"
	"strconv"

	"connectrpc.com/connect"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// codeOf is the Connect code, and so the HTTP status, of a kind.
func codeOf(k im.ErrorKind) connect.Code {
	switch k {
	case im.Invalid:
		return connect.CodeInvalidArgument
	case im.Unauthenticated:
		return connect.CodeUnauthenticated
	case im.PermissionDenied, im.NotContact, im.Blocked:
		return connect.CodePermissionDenied
	case im.NotFound:
		return connect.CodeNotFound
	case im.AlreadyExists, im.Conflict:
		return connect.CodeAlreadyExists
	case im.SequenceGap, im.Insufficient, im.Expired, im.AllGone, im.Moved:
		return connect.CodeFailedPrecondition
	case im.Stale:
		return connect.CodeOutOfRange
	case im.TooLarge, im.Busy:
		// Connect itself answers so to bodies over the limit.
		return connect.CodeResourceExhausted
	case im.Unavailable:
		return connect.CodeUnavailable
	case im.Unimplemented:
		return connect.CodeUnimplemented
	}
	return connect.CodeInternal
}

func kindOf(e *im.Error) im.ErrorKind {
	if e == nil {
		return im.KindUnspecified
	}
	return e.Kind
}

// settle turns what answered a request into what the caller may see. Defects
// are logged here and nowhere else.
func (a *API) settle(m *method, who *caller, err error) *im.Error {
	e := im.AsError(err)
	if e == nil || e.Kind != im.Internal && e.Kind != im.KindUnspecified {
		return e
	}
	a.log.Error("a request failed", "method", m.name(), "user", uint64(who.user), "device", uint32(who.device), "err", err)
	return &im.Error{Kind: im.Internal, Detail: "internal error"}
}

// connectError is the form of an error over HTTP: code and text for everybody,
// skein.v1.Error as a detail for programs, and headers that HTTP knows.
func connectError(e *im.Error) *connect.Error {
	ce := connect.NewError(codeOf(e.Kind), errors.New(e.Detail))
	detail, err := connect.NewErrorDetail(wire.ErrorToProto(e))
	if err == nil {
		ce.AddDetail(detail)
	}
	if e.Kind.Temporary() {
		ce.Meta().Set("Retry-After", RetryAfter(e))
	}
	if e.Kind == im.Unauthenticated {
		ce.Meta().Set("WWW-Authenticate", "Bearer")
	}
	return ce
}

var errorWriter = connect.NewErrorWriter()

// unknownMethod answers what looks like a method, and is none, as docs/PROTOCOL.md
// says.
func unknownMethod(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodPost || !errorWriter.IsSupported(r) {
		http.NotFound(w, r)
		return
	}
	e := im.Errorf(im.Unimplemented, "there is no method %s; GET /openapi.json describes those that there are", r.URL.Path)
	_ = errorWriter.Write(w, r, connectError(e))
}

// RetryAfter is the Retry-After header of a temporary error: whole seconds, at
// least one.
func RetryAfter(e *im.Error) string {
	return strconv.FormatUint(max(1, (uint64(e.RetryAfterMS)+999)/1000), 10)
}

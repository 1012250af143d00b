package im

import (
	"errors"
	"fmt"
	"strings"
)

// ErrorKind says what went wrong, in a form that survives the wire. The list
// is append-only; values equal skein.v1.ErrorKind.
type ErrorKind uint8

// The kinds of errors. skein.v1.ErrorKind documents each.
const (
	KindUnspecified ErrorKind = iota
	Internal
	Invalid
	Unauthenticated
	PermissionDenied
	NotFound
	AlreadyExists
	Conflict
	SequenceGap
	Stale
	TooLarge
	NotContact
	Blocked
	Busy
	Unavailable
	Unimplemented
	Insufficient
	Expired
	AllGone
	Moved
	errorKinds
)

var kindNames = [errorKinds]string{
	"unspecified", "internal", "invalid", "unauthenticated", "permission_denied",
	"not_found", "already_exists", "conflict", "sequence_gap", "stale", "too_large",
	"not_contact", "blocked", "busy", "unavailable", "unimplemented",
	"insufficient", "expired", "all_gone", "moved",
}

func (k ErrorKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind%d", uint8(k))
}

// Temporary reports whether the same request may succeed later.
func (k ErrorKind) Temporary() bool { return k == Busy || k == Unavailable }

// Error is the one error type that crosses role and wire boundaries.
type Error struct {
	Kind ErrorKind
	// Detail tells a person what happened and what to do.
	Detail string
	// RetryAfterMS is how long to wait when the kind is temporary.
	RetryAfterMS uint32
	// Expected is the client_seq the server waits for, with SequenceGap.
	Expected ClientSeq
	// Elsewhere: whoever was asked does not serve the entity; another node
	// does, or will. It stays between roles: who has a table of nodes asks for
	// a new one.
	Elsewhere bool
	// Owner, with Elsewhere, is who has acquired the entity's slot last, as far
	// as whoever was asked knows; nil: it does not know. If that is itself, it
	// has handed the slot over since.
	Owner *Owner
	// At, with Moved, is where the user lives.
	At *Place
	// Err is the cause, kept inside the process.
	Err error
}

func (e *Error) Error() string {
	s := e.Kind.String()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Kind: k}) compare kinds.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Detail == ""
}

// Errorf makes an Error of a kind. A %w at the end of the format, behind a
// colon, sets the cause, whose text stays out of Detail: it may hold paths or
// secrets, and Detail goes to clients.
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	cause := errors.Unwrap(err)
	detail := err.Error()
	if cause != nil {
		detail = strings.TrimSuffix(detail, ": "+cause.Error())
	}
	return &Error{Kind: kind, Detail: detail, Err: cause}
}

// KindOf is the kind of err: KindUnspecified for nil, Internal for an error
// that is not an *Error.
func KindOf(err error) ErrorKind {
	if err == nil {
		return KindUnspecified
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// AsError turns any error into an *Error, hiding the text of foreign ones,
// which may hold paths or secrets, behind Internal.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Detail: "internal error", Err: err}
}

// IsElsewhere reports whether err says that another node is to be asked.
func IsElsewhere(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Elsewhere
}

// Owner is who acquired a slot last, and with which epoch; the zero value: nobody
// has.
type Owner struct {
	Node  string
	Epoch Epoch
}

// OwnerIn is the Owner that err names, if it says that another node is to be
// asked.
func OwnerIn(err error) (o Owner, ok bool) {
	var e *Error
	if !errors.As(err, &e) || !e.Elsewhere || e.Owner == nil {
		return o, false
	}
	return *e.Owner, true
}

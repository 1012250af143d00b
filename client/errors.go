package client

import (
	"errors"
	"fmt"

	"github.com/skein-im/skein/internal/im"
)

// Error is the error of everything a server was asked for.
type Error = im.Error

// ErrorKind says what went wrong. The list is the same on the wire and over
// HTTP, and only grows.
type ErrorKind = im.ErrorKind

// The kinds of errors.
const (
	// Internal: a defect, here or in the server.
	Internal = im.Internal
	// Invalid: the request can never succeed as it is.
	Invalid = im.Invalid
	// Unauthenticated: no, wrong or revoked credentials.
	Unauthenticated = im.Unauthenticated
	// PermissionDenied: the credentials do not allow this.
	PermissionDenied = im.PermissionDenied
	// NotFound: the user, device or entry does not exist.
	NotFound = im.NotFound
	// AlreadyExists: the name is taken.
	AlreadyExists = im.AlreadyExists
	// Conflict: another program used the same device at the same time.
	Conflict = im.Conflict
	// SequenceGap: sends arrived out of order. The SDK sorts it out.
	SequenceGap = im.SequenceGap
	// Stale: the send was answered so long ago that the answer is gone. It
	// was not sent again.
	Stale = im.Stale
	// TooLarge: over a documented limit.
	TooLarge = im.TooLarge
	// NotContact: only contacts may write to each other.
	NotContact = im.NotContact
	// Blocked: this user has blocked the other one.
	Blocked = im.Blocked
	// Busy: a queue is full; try again later.
	Busy = im.Busy
	// Unavailable: not now; try again later.
	Unavailable = im.Unavailable
	// Unimplemented: the server does not know the method.
	Unimplemented = im.Unimplemented
	// Insufficient: there is not enough money in the wallet.
	Insufficient = im.Insufficient
	// Expired: the envelope can no longer be opened.
	Expired = im.Expired
	// AllGone: others have opened all shares of the envelope.
	AllGone = im.AllGone
	// Moved: the user lives in another region.
	Moved = im.Moved
)

// Place is where a user lives who has moved, or has always lived in another
// region than the one that was asked: its name, and addresses there.
type Place struct {
	Region      string
	Links, HTTP []string
}

// PlaceOf is where an error of the kind Moved sends the caller.
func PlaceOf(err error) (p Place, ok bool) {
	var e *im.Error
	if !errors.As(err, &e) || e.Kind != im.Moved || e.At == nil {
		return p, false
	}
	return Place{Region: string(e.At.Home.Region), Links: e.At.Links, HTTP: e.At.HTTP}, true
}

// KindOf is the kind of an error: Internal for one that is not of this
// package, 0 for nil.
func KindOf(err error) ErrorKind { return im.KindOf(err) }

// CloseCode says why a link was closed.
type CloseCode = im.CloseCode

// The close codes after which a client does not connect again by itself.
const (
	// CloseUnauthenticated: the token is not valid.
	CloseUnauthenticated = im.CloseUnauthenticated
	// CloseRevoked: the device was logged out.
	CloseRevoked = im.CloseRevoked
	// CloseReplaced: the same device connected elsewhere.
	CloseReplaced = im.CloseReplaced
	// CloseProtocol, CloseTooLarge and CloseVersion: client and server do
	// not understand each other.
	CloseProtocol = im.CloseProtocol
	CloseTooLarge = im.CloseTooLarge
	CloseVersion  = im.CloseVersion
)

// CloseError says that the server closed the link, and why. As the error of a
// Client it means that the client has given up. KindOf sorts it under the
// kinds of errors.
type CloseError struct {
	Code   CloseCode
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("the server closed the link (%d): %s", e.Code, e.Reason)
}

// Unwrap makes KindOf work.
func (e *CloseError) Unwrap() error {
	kind := im.Unavailable
	switch e.Code {
	case im.CloseUnauthenticated, im.CloseRevoked:
		kind = im.Unauthenticated
	case im.CloseReplaced:
		kind = im.Conflict
	case im.CloseProtocol, im.CloseVersion:
		kind = im.Invalid
	case im.CloseTooLarge:
		kind = im.TooLarge
	case im.CloseInternal:
		kind = im.Internal
	}
	return &im.Error{Kind: kind, Detail: e.Reason}
}

// ErrClosed is what everything fails with after Close.
var ErrClosed error = &im.Error{Kind: im.Unavailable, Detail: "the client is closed"}

package wire

import (
	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

// AppendMessage appends a message of the generated code in a frame: for
// Hello, Welcome, Call, Answer and Close, which are rare. It fails only when a
// string is not valid UTF-8.
func AppendMessage(dst []byte, t Type, m proto.Message) ([]byte, error) {
	// Size and MarshalAppend walk the message once each, not Size twice.
	framed := AppendHeader(dst, t, proto.Size(m))
	out, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(framed, m)
	if err != nil {
		return dst, im.Errorf(im.Invalid, "encoding %s: %w", t, err)
	}
	return out, nil
}

// UnmarshalMessage reads a message of the generated code. Nothing in it
// aliases b. Malformed input is Invalid.
func UnmarshalMessage(b []byte, m proto.Message) error {
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, m); err != nil {
		return &im.Error{Kind: im.Invalid, Detail: "malformed " + string(m.ProtoReflect().Descriptor().Name()), Err: err}
	}
	return nil
}

// ErrorToProto is e for an Answer; nil for nil.
func ErrorToProto(e *im.Error) *skeinv1.Error {
	if e == nil {
		return nil
	}
	m := &skeinv1.Error{
		Kind:         skeinv1.ErrorKind(e.Kind),
		Detail:       detail(e),
		RetryAfterMs: e.RetryAfterMS,
		ExpectedSeq:  uint64(e.Expected),
	}
	if e.At != nil {
		m.Region, m.Links, m.Http = string(e.At.Home.Region), e.At.Links, e.At.HTTP
	}
	return m
}

// ErrorFromProto is e as an error; nil for nil. A kind that this program does
// not know and cannot hold counts as Internal.
func ErrorFromProto(e *skeinv1.Error) *im.Error {
	if e == nil {
		return nil
	}
	kind := im.Internal
	if e.GetKind() >= 0 && e.GetKind() <= 0xff {
		kind = im.ErrorKind(e.GetKind())
	}
	got := &im.Error{
		Kind:         kind,
		Detail:       e.GetDetail(),
		RetryAfterMS: e.GetRetryAfterMs(),
		Expected:     im.ClientSeq(e.GetExpectedSeq()),
	}
	if e.GetRegion() != "" {
		got.At = &im.Place{Home: im.Home{Region: im.Region(e.GetRegion())}, Links: e.GetLinks(), HTTP: e.GetHttp()}
	}
	return got
}

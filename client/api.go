package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	rpc "github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// API makes requests over HTTP. It works without a link, and is the only way
// to register and to log in before there is a token.
type API struct {
	Methods
	base  string
	token string
	http  connect.HTTPClient
	// methods are the clients made so far, by method name.
	methods sync.Map
}

// NewAPI makes an API of the server at a base URL like "http://127.0.0.1:7080".
// token may be empty for Register and Login. A nil client is
// http.DefaultClient.
func NewAPI(baseURL, token string, client *http.Client) *API {
	if client == nil {
		client = http.DefaultClient
	}
	a := &API{base: strings.TrimRight(baseURL, "/"), token: token, http: client}
	a.Methods = Methods{a}
	return a
}

// WithToken is the same API with a token.
func (a *API) WithToken(token string) *API {
	b := &API{base: a.base, token: token, http: a.http}
	b.Methods = Methods{b}
	return b
}

// Call makes one request; method is a full name like
// "skein.v1.ContactService/List". Errors are *Error.
func (a *API) Call(ctx context.Context, method string, req, resp proto.Message) error {
	c := a.method(strings.TrimPrefix(method, "/"))
	r := connect.NewRequest(&req)
	if a.token != "" {
		r.Header().Set("Authorization", "Bearer "+a.token)
	}
	res, err := c.CallUnary(ctx, r)
	if err != nil {
		return apiError(err)
	}
	return wire.UnmarshalMessage(*res.Msg, resp)
}

type methodClient = connect.Client[proto.Message, encoded]

func (a *API) method(name string) *methodClient {
	if c, ok := a.methods.Load(name); ok {
		return c.(*methodClient)
	}
	c := connect.NewClient[proto.Message, encoded](a.http, a.base+"/"+name, connect.WithCodec(codec{}))
	a.methods.Store(name, c)
	return c
}

// Send sends one message. clientSeq is one more than the device's last, or 0:
// then the server chooses, and a repeated send is a second message. A device
// that has a link leaves its numbers to the link.
func (a *API) Send(ctx context.Context, to UserID, clientSeq ClientSeq, content Content) (Receipt, error) {
	res := new(skeinv1.SendResponse)
	err := a.Call(ctx, rpc.MessageServiceSendProcedure, &skeinv1.SendRequest{
		To: uint64(to), ClientSeq: uint64(clientSeq),
		Content: &skeinv1.Content{Type: skeinv1.ContentType(content.Type), Body: content.Body},
	}, res)
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{
		Seq: Seq(res.GetSeq()), ClientSeq: ClientSeq(res.GetClientSeq()),
		PairID: res.GetPairId(), Time: timeOf(im.Millis(res.GetTimeMs())),
	}, nil
}

// Sync returns entries after a cursor, at most limit (0: 100), and waits for
// one if there is none. Everything up to the cursor counts as stored. nil:
// after the cursor the server keeps for the device.
func (a *API) Sync(ctx context.Context, cursor *uint64, limit int, wait time.Duration) (entries []Entry, head Seq, err error) {
	page, err := a.SyncIn(ctx, nil, cursor, limit, wait)
	return page.Entries, page.Head, err
}

// SyncPage is what SyncIn returns.
type SyncPage struct {
	Entries []Entry
	// Head is the timeline's last sequence, and Generation the one to name with
	// cursors from this page. See Client.Generation.
	Head       Seq
	Generation *uint64
	// Rewound, if not nil, is up to where the timeline is what it was in the
	// generation that was named: what the caller has beyond is gone, and Entries
	// begin there, or at the cursor if that is less.
	Rewound *Seq
}

// SyncIn is Sync for a caller who keeps the generation of the page that the cursor
// is from, and so hears when a region has lost the end of the timeline. nil: none is
// known.
func (a *API) SyncIn(ctx context.Context, generation, cursor *uint64, limit int, wait time.Duration) (SyncPage, error) {
	res := new(skeinv1.SyncResponse)
	err := a.Call(ctx, rpc.MessageServiceSyncProcedure, &skeinv1.SyncRequest{
		Cursor: cursor, Generation: generation, Limit: uint32(max(0, limit)), WaitMs: uint32(max(0, wait.Milliseconds())),
	}, res)
	page := SyncPage{Entries: entriesOf(res.GetEntries()), Head: Seq(res.GetHead()), Generation: res.Generation}
	if res.Kept != nil {
		kept := Seq(res.GetKept())
		page.Rewound = &kept
	}
	return page, err
}

// apiError finds the kind of an error that came over HTTP.
func apiError(err error) error {
	var ce *connect.Error
	if !errors.As(err, &ce) {
		return im.Errorf(im.Unavailable, "the server cannot be reached: %w", err)
	}
	for _, d := range ce.Details() {
		if m, err := d.Value(); err == nil {
			if e, ok := m.(*skeinv1.Error); ok {
				return wire.ErrorFromProto(e)
			}
		}
	}
	return &im.Error{Kind: kindOfCode(ce.Code()), Detail: ce.Message(), Err: ce.Unwrap()}
}

// kindOfCode is for answers without details: from proxies, or none at all.
func kindOfCode(code connect.Code) im.ErrorKind {
	switch code {
	case connect.CodeInvalidArgument, connect.CodeFailedPrecondition, connect.CodeOutOfRange:
		return im.Invalid
	case connect.CodeUnauthenticated:
		return im.Unauthenticated
	case connect.CodePermissionDenied:
		return im.PermissionDenied
	case connect.CodeNotFound:
		return im.NotFound
	case connect.CodeAlreadyExists:
		return im.AlreadyExists
	case connect.CodeResourceExhausted:
		return im.Busy
	case connect.CodeUnimplemented:
		return im.Unimplemented
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeCanceled:
		return im.Unavailable
	}
	return im.Internal
}

// codec lets one connect.Client type serve all methods: requests are any
// message, responses stay encoded.
type codec struct{}

// encoded is a response as it came.
type encoded []byte

// Name implements connect.Codec.
func (codec) Name() string { return "proto" }

// Marshal implements connect.Codec.
func (codec) Marshal(m any) ([]byte, error) {
	p, ok := m.(*proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message", m)
	}
	return proto.Marshal(*p)
}

// Unmarshal implements connect.Codec.
func (codec) Unmarshal(b []byte, m any) error {
	p, ok := m.(*encoded)
	if !ok {
		return fmt.Errorf("%T does not hold a response", m)
	}
	*p = append((*p)[:0], b...)
	return nil
}

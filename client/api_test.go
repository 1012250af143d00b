package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	rpc "github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
)

// fakeMessages answers as the generated server does.
type fakeMessages struct {
	rpc.UnimplementedMessageServiceHandler
}

func (fakeMessages) Sync(_ context.Context, r *connect.Request[skeinv1.SyncRequest]) (*connect.Response[skeinv1.SyncResponse], error) {
	if r.Header().Get("Authorization") != "Bearer secret" {
		return nil, connect.NewError(connect.CodeUnauthenticated, errors.New("who are you"))
	}
	if r.Msg.Generation != nil {
		g, kept := r.Msg.GetGeneration()+1, r.Msg.GetCursor()-1
		return connect.NewResponse(&skeinv1.SyncResponse{Generation: &g, Kept: &kept}), nil
	}
	return connect.NewResponse(&skeinv1.SyncResponse{Head: uint64(r.Msg.GetWaitMs()), Entries: []*skeinv1.Entry{{
		Seq: r.Msg.GetCursor() + 1, Kind: skeinv1.EntryKind_ENTRY_KIND_MESSAGE, Peer: 5, TimeMs: 1000, PairId: 3,
		Content: &skeinv1.Content{Type: skeinv1.ContentType_CONTENT_TYPE_TEXT, Body: []byte("hi")},
	}}}), nil
}

func (fakeMessages) Send(_ context.Context, r *connect.Request[skeinv1.SendRequest]) (*connect.Response[skeinv1.SendResponse], error) {
	if r.Msg.GetTo() == 1 {
		ce := connect.NewError(connect.CodePermissionDenied, errors.New("strangers"))
		d, err := connect.NewErrorDetail(&skeinv1.Error{Kind: skeinv1.ErrorKind_ERROR_KIND_NOT_CONTACT, Detail: "strangers"})
		if err != nil {
			return nil, err
		}
		ce.AddDetail(d)
		return nil, ce
	}
	return connect.NewResponse(&skeinv1.SendResponse{Seq: 4, ClientSeq: r.Msg.GetClientSeq(), PairId: 2, TimeMs: 1000}), nil
}

func TestAPI(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle(rpc.NewMessageServiceHandler(fakeMessages{}))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	defer srv.Client().CloseIdleConnections()
	a := NewAPI(srv.URL+"/", "", srv.Client())

	if _, _, err := a.Sync(t.Context(), nil, 0, 0); KindOf(err) != Unauthenticated {
		t.Errorf("without a token: %v", err)
	}
	a = a.WithToken("secret")
	cursor := uint64(6)
	entries, head, err := a.Sync(t.Context(), &cursor, 10, 3*time.Second)
	if err != nil || head != 3000 || len(entries) != 1 {
		t.Fatalf("%v, head %d, %v", entries, head, err)
	}
	if e := entries[0]; e.Seq != 7 || e.Peer != 5 || string(e.Content.Body) != "hi" || e.PairID != 3 || !e.Time.Equal(time.UnixMilli(1000)) {
		t.Errorf("entry %+v", e)
	}
	generation := uint64(7)
	page, err := a.SyncIn(t.Context(), &generation, &cursor, 10, 0)
	if err != nil || page.Generation == nil || *page.Generation != 8 || page.Rewound == nil || *page.Rewound != 5 {
		t.Errorf("in another generation: %+v, %v", page, err)
	}
	r, err := a.Send(t.Context(), 5, 9, Text("x"))
	if want := (Receipt{Seq: 4, ClientSeq: 9, PairID: 2, Time: time.UnixMilli(1000)}); err != nil || r != want {
		t.Errorf("receipt %+v, %v", r, err)
	}
	var e *Error
	if _, err := a.Send(t.Context(), 1, 9, Text("x")); !errors.As(err, &e) || e.Kind != NotContact || e.Detail != "strangers" {
		t.Errorf("refused send: %v", err)
	}
	if _, err := a.Counters(t.Context()); KindOf(err) != Unimplemented {
		t.Errorf("unknown method: %v", err)
	}
	srv.Close()
	if _, err := a.Counters(t.Context()); KindOf(err) != Unavailable {
		t.Errorf("no server: %v", err)
	}
}

package api

import (
	"math"
	"testing"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

// FuzzCall lets a device call any method with any body: whatever is wrong with it is
// the device's fault, and is said.
func FuzzCall(f *testing.F) {
	names := map[string]byte{}
	for i, m := range methods() {
		names[m.name()] = byte(i)
	}
	for name, req := range map[string]proto.Message{
		"skein.v1.MessageService/Send":       &skeinv1.SendRequest{To: 2, ClientSeq: 1},
		"skein.v1.MessageService/Sync":       &skeinv1.SyncRequest{Cursor: proto.Uint64(math.MaxUint64), Limit: math.MaxUint32},
		"skein.v1.MessageService/History":    &skeinv1.HistoryRequest{Peer: 2, Limit: math.MaxUint32},
		"skein.v1.ContactService/Request":    &skeinv1.ContactRequest{},
		"skein.v1.AccountService/Register":   &skeinv1.RegisterRequest{Name: "a\u00e9"},
		"skein.v1.EnvelopeService/Send":      &skeinv1.SendEnvelopeRequest{},
		"skein.v1.WalletService/Statement":   &skeinv1.StatementRequest{},
		"skein.v1.AccountService/LookupUser": &skeinv1.LookupUserRequest{},
	} {
		body, err := proto.Marshal(req)
		at, known := names[name]
		if err != nil || !known {
			f.Fatal(name, err)
		}
		f.Add(at, body)
	}
	fix := newFixture(f, nil)
	befriend(f, fix.mailbox)
	fix.Drain() // Nobody polls for a minute.
	f.Fuzz(func(t *testing.T, method byte, body []byte) {
		name := methods()[int(method)%len(methods())].name()
		if _, err := fix.Call(t.Context(), 1, 1, name, body); err != nil && im.KindOf(err) == im.Internal {
			t.Fatalf("%s: %v\n%s", name, err, fix.logged)
		}
	})
}

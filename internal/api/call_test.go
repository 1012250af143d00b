package api

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/skein-im/skein/docs"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/api/openapi"
	"github.com/skein-im/skein/internal/im"
)

// call runs a method as a gateway does for device 1 of user 1.
func call[Res proto.Message](t testing.TB, f *fixture, name string, req proto.Message, res Res) (Res, error) {
	t.Helper()
	body, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	out, err := f.Call(t.Context(), 1, 1, name, body)
	if err != nil {
		var e *im.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v is no *im.Error", name, err)
		}
		return res, err
	}
	if err := proto.Unmarshal(out, res); err != nil {
		t.Fatal(err)
	}
	return res, nil
}

func TestCallRunsTheSameMethods(t *testing.T) {
	f := newFixture(t, nil)
	befriend(t, f.mailbox)
	sent, err := call(t, f, "skein.v1.MessageService/Send", &skeinv1.SendRequest{To: 2, ClientSeq: 1, Content: text("hi")}, &skeinv1.SendResponse{})
	if err != nil || sent.Seq != 1 {
		t.Errorf("sent %v, %v", sent, err)
	}
	_, err = call(t, f, "skein.v1.MessageService/Send", &skeinv1.SendRequest{To: 3, Content: text("hi")}, &skeinv1.SendResponse{})
	if im.KindOf(err) != im.NotContact {
		t.Errorf("to a stranger: %v", err)
	}
	list, err := call(t, f, "skein.v1.ContactService/List", &skeinv1.ListContactsRequest{}, &skeinv1.ListContactsResponse{})
	if err != nil || len(list.Contacts) != 1 || list.Contacts[0].LastSeq != 1 {
		t.Errorf("contacts %v, %v", list, err)
	}
	page, err := call(t, f, "skein.v1.MessageService/History", &skeinv1.HistoryRequest{Peer: 2}, &skeinv1.HistoryResponse{})
	if err != nil || len(page.Entries) != 1 {
		t.Errorf("history %v, %v", page, err)
	}
	devices, err := call(t, f, "skein.v1.AccountService/ListDevices", &skeinv1.ListDevicesRequest{}, &skeinv1.ListDevicesResponse{})
	if err != nil || len(devices.Devices) != 1 || !devices.Devices[0].Current {
		t.Errorf("devices %v, %v", devices, err)
	}
}

func TestCallSyncs(t *testing.T) {
	f := newFixture(t, nil)
	befriend(t, f.mailbox)
	for range 3 {
		f.mailbox.Append(1, 2, "x")
	}
	const name = "skein.v1.MessageService/Sync"
	for _, c := range []struct {
		req  *skeinv1.SyncRequest
		left int
	}{{&skeinv1.SyncRequest{}, 3}, {syncRequest(2, 0), 1}, {&skeinv1.SyncRequest{}, 1}, {syncRequest(3, 0), 0}} {
		res, err := call(t, f, name, c.req, &skeinv1.SyncResponse{})
		if err != nil || len(res.Entries) != c.left || res.Head != 3 {
			t.Errorf("sync %v: %v, %v, want %d entries", c.req, res, err, c.left)
		}
	}
	for what, req := range map[string]*skeinv1.SyncRequest{"waiting": syncRequest(3, 1), "beyond the end": syncRequest(4, 0)} {
		if _, err := call(t, f, name, req, &skeinv1.SyncResponse{}); im.KindOf(err) != im.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := f.Call(t.Context(), 1, 9, name, nil); im.KindOf(err) != im.Unauthenticated {
		t.Errorf("a device that is not there: %v", err)
	}
}

func TestCallRefuses(t *testing.T) {
	f := newFixture(t, nil)
	befriend(t, f.mailbox)
	for what, c := range map[string]struct {
		name string
		body []byte
		kind im.ErrorKind
	}{
		"unknown method": {"skein.v1.MessageService/Nothing", nil, im.Unimplemented},
		"no method":      {"", nil, im.Unimplemented},
		"a path":         {countersPath, nil, im.Unimplemented},
		"no protobuf":    {"skein.v1.MessageService/Counters", []byte{0x0a, 0xff}, im.Invalid},
		"large body":     {"skein.v1.MessageService/Counters", make([]byte, maxBody+1), im.TooLarge},
		"the operator's": {"skein.v1.AdminService/Provision", nil, im.PermissionDenied},
	} {
		if _, err := f.Call(t.Context(), 1, 1, c.name, c.body); im.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %v", what, err, c.kind)
		}
	}
}

func TestCallKeepsAnswersWithinAFrame(t *testing.T) {
	f := newFixture(t, nil)
	befriend(t, f.mailbox)
	friends := make([]im.UserID, im.MaxContacts)
	for i := range friends {
		friends[i] = im.MaxUser - im.UserID(i)
	}
	if _, err := im.Do(t.Context(), f.mailbox, im.User(1), &im.Provision{Friends: friends}); err != nil {
		t.Fatal(err)
	}
	const name = "skein.v1.ContactService/List"
	if list, err := call(t, f, name, &skeinv1.ListContactsRequest{}, &skeinv1.ListContactsResponse{}); err != nil || len(list.Contacts) != im.MaxContacts+1 {
		t.Errorf("%d contacts, %v", len(list.GetContacts()), err)
	}
	for _, id := range friends[:5000] {
		_, err := im.Do(t.Context(), f.mailbox, im.User(id), &im.CreateUser{Name: "x"})
		if err == nil {
			_, err = im.Do(t.Context(), f.mailbox, im.User(1), &im.Contact{Op: im.ContactRequest, Peer: id, Note: strings.Repeat("n", im.MaxNote)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := call(t, f, name, &skeinv1.ListContactsRequest{}, &skeinv1.ListContactsResponse{}); im.KindOf(err) != im.TooLarge {
		t.Errorf("an answer larger than a frame: %v", err)
	}
}

func TestCallHidesDefects(t *testing.T) {
	f := newFixture(t, nil)
	befriend(t, f.mailbox)
	f.mailbox.Hook = func(im.Addr, im.Command) error { panic("sesame") }
	_, err := f.Call(t.Context(), 1, 1, "skein.v1.MessageService/Counters", nil)
	if im.KindOf(err) != im.Internal || strings.Contains(err.Error(), "sesame") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(f.logged.String(), "sesame") {
		t.Error("the panic is not in the log")
	}
}

func TestEveryCallIsObserved(t *testing.T) {
	var seen []string
	f := newFixture(t, func(c *Config) {
		c.Observe = func(method string, kind im.ErrorKind, _ time.Duration) { seen = append(seen, method+" "+kind.String()) }
	})
	befriend(t, f.mailbox)
	call(t, f, "skein.v1.MessageService/Counters", &skeinv1.CountersRequest{}, &skeinv1.CountersResponse{})
	call(t, f, "skein.v1.ContactService/Request", &skeinv1.ContactRequest{}, &skeinv1.ContactResponse{})
	want := []string{"skein.v1.MessageService/Counters unspecified", "skein.v1.ContactService/Request invalid"}
	if !slices.Equal(seen, want) {
		t.Errorf("observed %q, want %q", seen, want)
	}
}

// The table has every method of the schema, and asks for the tokens that the
// published description says.
func TestTableMatchesSchemaAndDescription(t *testing.T) {
	var doc struct {
		Security []map[string][]string
		Paths    map[string]struct {
			Post struct{ Security *[]map[string][]string }
		}
	}
	if err := json.Unmarshal(docs.OpenAPI, &doc); err != nil {
		t.Fatal(err)
	}
	table := map[string]access{}
	for _, m := range methods() {
		table[m.procedure] = m.access
	}
	files := []protoreflect.FileDescriptor{skeinv1.File_skein_v1_api_proto, skeinv1.File_skein_v1_money_proto}
	n := 0
	for service := range openapi.Services(files) {
		for j := range service.Methods().Len() {
			n++
			path := "/" + string(service.FullName()) + "/" + string(service.Methods().Get(j).Name())
			have, ok := table[path]
			if !ok {
				t.Errorf("%s is not in the table", path)
				continue
			}
			security := doc.Security
			if own := doc.Paths[path].Post.Security; own != nil {
				security = *own
			}
			described := anyone
			for _, s := range security {
				if _, ok := s["operator"]; ok {
					described = operator
				} else if _, ok := s["device"]; ok {
					described = device
				}
			}
			if described != have {
				t.Errorf("%s: the description says access %d, the table %d", path, described, have)
			}
		}
	}
	if n != len(table) {
		t.Errorf("%d methods in the schema, %d in the table", n, len(table))
	}
}

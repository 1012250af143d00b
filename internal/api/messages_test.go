package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"testing"

	"connectrpc.com/connect"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/im"
)

func text(s string) *skeinv1.Content {
	return &skeinv1.Content{Type: skeinv1.ContentType_CONTENT_TYPE_TEXT, Body: []byte(s)}
}

func TestSendAndSync(t *testing.T) {
	for name, codec := range codecs() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			srv := f.server(t, nil)
			t1, t2 := befriend(t, f.mailbox)
			one, two := dial(srv, t1, codec...), dial(srv, t2, codec...)
			for i := range 3 {
				req := &skeinv1.SendRequest{To: 2, ClientSeq: uint64(i + 1), Content: text(fmt.Sprint("message ", i+1))}
				first := must(t)(one.Send(t.Context(), connect.NewRequest(req))).(*skeinv1.SendResponse)
				again := must(t)(one.Send(t.Context(), connect.NewRequest(req))).(*skeinv1.SendResponse)
				if first.Seq != uint64(i+1) || first.ClientSeq != uint64(i+1) || again.Seq != first.Seq || first.TimeMs == 0 {
					t.Errorf("sent %v, repeated %v", first, again)
				}
			}
			got := must(t)(two.Sync(t.Context(), connect.NewRequest(&skeinv1.SyncRequest{Limit: 2}))).(*skeinv1.SyncResponse)
			if got.Head != 3 || len(got.Entries) != 2 || got.Entries[0].Seq != 1 || string(got.Entries[1].Content.Body) != "message 2" {
				t.Errorf("first page %v", got)
			}
			cursor := uint64(2)
			got = must(t)(two.Sync(t.Context(), connect.NewRequest(&skeinv1.SyncRequest{Cursor: &cursor}))).(*skeinv1.SyncResponse)
			if len(got.Entries) != 1 || got.Entries[0].Seq != 3 || got.Entries[0].Peer != 1 || got.Entries[0].Outgoing {
				t.Errorf("second page %v", got)
			}
			c := must(t)(two.Counters(t.Context(), connect.NewRequest(&skeinv1.CountersRequest{}))).(*skeinv1.CountersResponse)
			if c.RecvId != 3 || c.ClientRecvId != 2 || c.Head != 3 {
				t.Errorf("the receiver's counters %v", c)
			}
			c = must(t)(one.Counters(t.Context(), connect.NewRequest(&skeinv1.CountersRequest{}))).(*skeinv1.CountersResponse)
			if c.SendId != 3 || c.SendAckId != 3 || c.ClientSeq != 3 {
				t.Errorf("the sender's counters %v", c)
			}
		})
	}
}

func TestSendIsChecked(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	one := dial(srv, token)
	content := func(typ skeinv1.ContentType, body string) *skeinv1.Content {
		return &skeinv1.Content{Type: typ, Body: []byte(body)}
	}
	const txt, custom = skeinv1.ContentType_CONTENT_TYPE_TEXT, skeinv1.ContentType_CONTENT_TYPE_CUSTOM
	for name, c := range map[string]struct {
		req  *skeinv1.SendRequest
		code connect.Code
		kind im.ErrorKind
	}{
		"to nobody":        {&skeinv1.SendRequest{Content: text("x")}, connect.CodeInvalidArgument, im.Invalid},
		"to oneself":       {&skeinv1.SendRequest{To: 1, Content: text("x")}, connect.CodeInvalidArgument, im.Invalid},
		"without content":  {&skeinv1.SendRequest{To: 2}, connect.CodeInvalidArgument, im.Invalid},
		"without type":     {&skeinv1.SendRequest{To: 2, Content: content(0, "x")}, connect.CodeInvalidArgument, im.Invalid},
		"of unknown type":  {&skeinv1.SendRequest{To: 2, Content: content(3, "x")}, connect.CodeInvalidArgument, im.Invalid},
		"of negative type": {&skeinv1.SendRequest{To: 2, Content: content(-255, "x")}, connect.CodeInvalidArgument, im.Invalid},
		"of type 257":      {&skeinv1.SendRequest{To: 2, Content: content(257, "x")}, connect.CodeInvalidArgument, im.Invalid},
		"broken UTF-8":     {&skeinv1.SendRequest{To: 2, Content: content(txt, "a\xff")}, connect.CodeInvalidArgument, im.Invalid},
		"too large":        {&skeinv1.SendRequest{To: 2, Content: content(custom, string(make([]byte, im.MaxBody+1)))}, connect.CodeResourceExhausted, im.TooLarge},
		"to a stranger":    {&skeinv1.SendRequest{To: 3, Content: text("x")}, connect.CodePermissionDenied, im.NotContact},
		"ahead":            {&skeinv1.SendRequest{To: 2, ClientSeq: 7, Content: text("x")}, connect.CodeFailedPrecondition, im.SequenceGap},
	} {
		_, err := one.Send(t.Context(), connect.NewRequest(c.req))
		wantError(t, name, err, c.code, c.kind)
		if c.kind == im.SequenceGap && detail(err).ExpectedSeq != 1 {
			t.Errorf("expected_seq is %d", detail(err).ExpectedSeq)
		}
	}
	must(t)(one.Send(t.Context(), connect.NewRequest(&skeinv1.SendRequest{To: 2, Content: content(custom, "a\xff")})))
	must(t)(one.Send(t.Context(), connect.NewRequest(&skeinv1.SendRequest{To: 2, Content: content(custom, string(make([]byte, im.MaxBody)))})))
}

// The JSON mapping as somebody with curl meets it.
func TestJSONMapping(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	token, other := befriend(t, f.mailbox)
	for _, body := range []string{
		`{"to":"2","clientSeq":"1","content":{"type":"CONTENT_TYPE_TEXT","body":"aGk="}}`,
		`{"to":2,"client_seq":2,"content":{"type":1,"body":"aGk"},"fromTheFuture":true}`,
	} {
		if res := post(t, srv, "/skein.v1.MessageService/Send", token, body); res.StatusCode != 200 {
			t.Errorf("%s: status %d", body, res.StatusCode)
		}
	}
	res := post(t, srv, "/skein.v1.MessageService/Sync", other, "{}")
	var got struct {
		Head    string
		Entries []struct {
			Seq, Peer, Kind string
			Content         struct{ Type, Body string }
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Head != "2" || len(got.Entries) != 2 || got.Entries[1].Seq != "2" || got.Entries[1].Peer != "1" ||
		got.Entries[1].Kind != "ENTRY_KIND_MESSAGE" || got.Entries[1].Content.Body != "aGk=" {
		t.Errorf("synced %+v", got)
	}
}

func TestUnknownProtobufFieldsAreIgnored(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	// Field 1000, length-delimited.
	res := post(t, srv, "/skein.v1.MessageService/Counters", token, "\xc2\x3e\x03abc", "Content-Type", "application/proto")
	if res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
}

// history reads the whole conversation in pages and returns sequences.
func history(t *testing.T, c clients, peer uint64, limit uint32) (seqs []uint64, pages int) {
	t.Helper()
	var before uint64
	for {
		page := must(t)(c.History(t.Context(), connect.NewRequest(&skeinv1.HistoryRequest{Peer: peer, Before: before, Limit: limit}))).(*skeinv1.HistoryResponse)
		pages++
		for _, e := range page.Entries {
			if e.Peer != peer {
				t.Fatalf("entry %d is about %d", e.Seq, e.Peer)
			}
			seqs = append(seqs, e.Seq)
		}
		if page.Before == 0 {
			return seqs, pages
		}
		if before != 0 && page.Before >= before {
			t.Fatalf("the page before %d continues before %d", before, page.Before)
		}
		before = page.Before
	}
}

func TestHistoryPages(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	one := dial(srv, token)
	// Two conversations take turns: odd sequences are with 2, even with 9.
	for i := range 11 {
		f.mailbox.Append(1, 2, fmt.Sprint(i))
		f.mailbox.Append(1, 9, "noise")
	}
	want := []uint64{21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1}
	for _, c := range []struct {
		limit uint32
		pages int
	}{{0, 1}, {1, 11}, {3, 4}, {10, 2}, {11, 1}, {12, 1}, {1 << 31, 1}} {
		got, pages := history(t, one, 2, c.limit)
		if fmt.Sprint(got) != fmt.Sprint(want) || pages != c.pages {
			t.Errorf("limit %d: %v on %d pages, want %d", c.limit, got, pages, c.pages)
		}
	}
	// A client may also continue from any entry of its own database.
	page := must(t)(one.History(t.Context(), connect.NewRequest(&skeinv1.HistoryRequest{Peer: 2, Before: 5}))).(*skeinv1.HistoryResponse)
	if len(page.Entries) != 2 || page.Entries[0].Seq != 3 || page.Before != 0 {
		t.Errorf("before 5: %v", page)
	}
	page = must(t)(one.History(t.Context(), connect.NewRequest(&skeinv1.HistoryRequest{Peer: 2, Before: 1}))).(*skeinv1.HistoryResponse)
	if len(page.Entries) != 0 || page.Before != 0 {
		t.Errorf("before the first: %v", page)
	}
	page = must(t)(one.History(t.Context(), connect.NewRequest(&skeinv1.HistoryRequest{Peer: 77}))).(*skeinv1.HistoryResponse)
	if len(page.Entries) != 0 || page.Before != 0 {
		t.Errorf("with a stranger: %v", page)
	}
}

func TestHistoryPagesBySize(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	large := string(bytes.Repeat([]byte("x"), im.MaxBody))
	for range 30 {
		f.mailbox.Append(1, 2, large)
	}
	got, pages := history(t, dial(srv, token), 2, 200)
	if len(got) != 30 || pages < 3 {
		t.Errorf("%d entries of 64 KiB on %d pages", len(got), pages)
	}
}

func TestHistoryRefusesOtherEntries(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	one := dial(srv, token)
	f.mailbox.Append(1, 2, "a")
	f.mailbox.Append(1, 9, "b")
	for name, req := range map[string]*skeinv1.HistoryRequest{
		"another conversation": {Peer: 2, Before: 2},
		"beyond the end":       {Peer: 2, Before: 3},
		"far beyond the end":   {Peer: 2, Before: 1<<64 - 1},
		"no peer":              {},
		"oneself":              {Peer: 1},
	} {
		_, err := one.History(t.Context(), connect.NewRequest(req))
		wantError(t, name, err, connect.CodeInvalidArgument, im.Invalid)
	}
}

func TestProvision(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	op := dial(srv, operatorToken)
	const n = 200
	req := &skeinv1.ProvisionRequest{}
	secret := account.Secret([]byte("a secret of 20 bytes"))
	hash := secret.Hash()
	for i := range uint64(n) {
		req.Users = append(req.Users, &skeinv1.ProvisionUser{
			User: i + 1, Friends: []uint64{(i+1)%n + 1, (i+n-1)%n + 1}, TokenHashes: [][]byte{hash[:]},
		})
	}
	for range 2 {
		must(t)(op.Provision(t.Context(), connect.NewRequest(req)))
	}
	must(t)(dial(srv, account.Token(5, 1, secret)).Send(t.Context(), connect.NewRequest(&skeinv1.SendRequest{To: 6, Content: text("hi")})))
}

// reluctant is busy for the first of each user's provisionings.
type reluctant struct {
	im.Mailbox
	mu      sync.Mutex
	refused map[im.Addr]bool
}

func (m *reluctant) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	m.mu.Lock()
	_, ok := cmd.(*im.Provision)
	refuse := ok && !m.refused[to]
	m.refused[to] = true
	m.mu.Unlock()
	if refuse {
		done.Complete(cmd, nil, &im.Error{Kind: im.Busy, RetryAfterMS: 1, Detail: "later"})
		return
	}
	m.Mailbox.Submit(to, cmd, done)
}

// TestProvisionOutlastsABusyMailbox: the caller hears nothing of it.
func TestProvisionOutlastsABusyMailbox(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Mailbox = &reluctant{Mailbox: c.Mailbox, refused: map[im.Addr]bool{}} })
	op := dial(f.server(t, nil), operatorToken)
	req := &skeinv1.ProvisionRequest{}
	for user := range uint64(20) {
		req.Users = append(req.Users, &skeinv1.ProvisionUser{User: user + 1})
	}
	must(t)(op.Provision(t.Context(), connect.NewRequest(req)))
}

func TestProvisionIsChecked(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	op := dial(srv, operatorToken)
	user := func(u *skeinv1.ProvisionUser) []*skeinv1.ProvisionUser {
		return []*skeinv1.ProvisionUser{{User: 1}, u}
	}
	for name, c := range map[string]struct {
		users []*skeinv1.ProvisionUser
		code  connect.Code
		kind  im.ErrorKind
	}{
		"user 0":           {user(&skeinv1.ProvisionUser{}), connect.CodeInvalidArgument, im.Invalid},
		"registered users": {user(&skeinv1.ProvisionUser{User: uint64(im.FirstRegisteredUser)}), connect.CodeInvalidArgument, im.Invalid},
		"own friend":       {user(&skeinv1.ProvisionUser{User: 2, Friends: []uint64{2}}), connect.CodeInvalidArgument, im.Invalid},
		"friend 0":         {user(&skeinv1.ProvisionUser{User: 2, Friends: []uint64{0}}), connect.CodeInvalidArgument, im.Invalid},
		"short hash":       {user(&skeinv1.ProvisionUser{User: 2, TokenHashes: [][]byte{{1}}}), connect.CodeInvalidArgument, im.Invalid},
		"many users":       {make([]*skeinv1.ProvisionUser, maxProvisioned+1), connect.CodeResourceExhausted, im.TooLarge},
		"many friends":     {user(&skeinv1.ProvisionUser{User: 2, Friends: make([]uint64, im.MaxContacts+1)}), connect.CodeResourceExhausted, im.TooLarge},
		"many devices":     {user(&skeinv1.ProvisionUser{User: 2, TokenHashes: make([][]byte, im.MaxDevices+1)}), connect.CodeResourceExhausted, im.TooLarge},
	} {
		_, err := op.Provision(t.Context(), connect.NewRequest(&skeinv1.ProvisionRequest{Users: c.users}))
		wantError(t, name, err, c.code, c.kind)
	}
	if _, err := im.Do(t.Context(), f.mailbox, im.User(1), &im.Counters{}); im.KindOf(err) != im.NotFound {
		t.Errorf("a refused request made user 1: %v", err)
	}
	device, _ := befriend(t, f.mailbox)
	for name, token := range map[string]string{"nobody": "", "a device": device, "a guess": operatorToken[:5]} {
		_, err := dial(srv, token).Provision(t.Context(), connect.NewRequest(&skeinv1.ProvisionRequest{}))
		wantError(t, name, err, connect.CodeUnauthenticated, im.Unauthenticated)
	}
}

func TestProvisionTakesLargeBodies(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	req := &skeinv1.ProvisionRequest{}
	for i := range uint64(100) {
		u := &skeinv1.ProvisionUser{User: i + 1, Friends: make([]uint64, 5000)}
		for j := range u.Friends {
			u.Friends[j] = uint64(1_000_000 + j)
		}
		req.Users = append(req.Users, u)
	}
	must(t)(dial(srv, operatorToken).Provision(t.Context(), connect.NewRequest(req)))
}

func TestIndexAndDescriptionAreServed(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	for path, want := range map[string]string{"/": "messaging server", "/openapi.json": `"openapi": "3.1.0"`} {
		res, err := srv.Client().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 || !bytes.Contains(body, []byte(want)) {
			t.Errorf("GET %s: %d, %v, %.100s", path, res.StatusCode, err, body)
		}
	}
}

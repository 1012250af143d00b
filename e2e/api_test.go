package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/patience"
)

// callError is an error answer of the HTTP API.
type callError struct {
	status int
	// again is after how long a server that is busy wants to be asked again.
	again   time.Duration
	Code    string
	Message string
	Details []struct {
		Type  string
		Debug struct{ Kind string }
	}
}

func (e *callError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.Code, e.Message) }

// call calls a method as curl would, and comes back when it is told to: other
// tests may keep the server's machine busy.
func call(addr, token, method string, req, resp any) error {
	for deadline := time.Now().Add(patience.Limit); ; {
		err := callOnce(addr, token, method, req, resp)
		var busy *callError
		if !errors.As(err, &busy) || busy.again == 0 || time.Now().After(deadline) {
			return err
		}
		<-time.After(busy.again)
	}
}

func callOnce(addr, token, method string, req, resp any) error {
	body, err := json.Marshal(req)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(http.MethodPost, "http://"+addr+"/skein.v1."+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := web.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		e := &callError{status: res.StatusCode}
		if e.status == http.StatusTooManyRequests {
			seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
			e.again = time.Duration(seconds) * time.Second
		}
		_ = json.Unmarshal(b, e)
		return e
	}
	if resp == nil {
		return nil
	}
	return json.Unmarshal(b, resp)
}

// person is a registered user with one device.
type person struct {
	User   string
	Device uint32
	Token  string
	addr   string
	seq    int
}

func register(t *testing.T, addr, name string) *person {
	t.Helper()
	p := &person{addr: addr}
	if err := call(addr, "", "AccountService/Register", map[string]any{"name": name, "password": "correct horse"}, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// befriend makes contacts of two people.
func befriend(t *testing.T, a, b *person) {
	t.Helper()
	if err := call(a.addr, a.Token, "ContactService/Request", map[string]any{"user": b.User}, nil); err != nil {
		t.Fatal(err)
	}
	b.waitFor(t, func(e entry) bool { return e.Contact == "CONTACT_EVENT_REQUESTED" })
	if err := call(b.addr, b.Token, "ContactService/Accept", map[string]any{"user": a.User}, nil); err != nil {
		t.Fatal(err)
	}
	a.waitFor(t, func(e entry) bool { return e.Contact == "CONTACT_EVENT_ACCEPTED" })
}

// entry is a timeline entry in JSON.
type entry struct {
	Seq, Kind, Peer, Contact, Refusal string
	Outgoing                          bool
	Content                           struct{ Body []byte }
}

// timeline reads everything after a cursor, waiting for the first entry.
func (p *person) timeline(cursor string) (entries []entry, err error) {
	var resp struct{ Entries []entry }
	err = call(p.addr, p.Token, "MessageService/Sync", map[string]any{"cursor": cursor, "limit": 1000, "waitMs": 5000}, &resp)
	return resp.Entries, err
}

// waitFor reads the timeline from its beginning until an entry is there.
func (p *person) waitFor(t *testing.T, is func(entry) bool) {
	t.Helper()
	cursor := "0"
	for ctx := testContext(t); ctx.Err() == nil; {
		entries, err := p.timeline(cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if is(e) {
				return
			}
			cursor = e.Seq
		}
	}
	t.Fatal("the entry does not come")
}

// send sends the person's next message.
func (p *person) send(to *person, body []byte) error {
	err := call(p.addr, p.Token, "MessageService/Send", map[string]any{
		"to": to.User, "clientSeq": fmt.Sprint(p.seq + 1),
		"content": map[string]any{"type": "CONTENT_TYPE_CUSTOM", "body": base64.StdEncoding.EncodeToString(body)},
	}, nil)
	if err == nil {
		p.seq++
	}
	return err
}

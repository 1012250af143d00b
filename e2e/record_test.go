package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/skein-im/skein/client"
	"github.com/skein-im/skein/internal/releases"
)

// TestRecordRelease fills a directory of testdata/releases from a release's
// program; scripts/fixtures.sh says which.
func TestRecordRelease(t *testing.T) {
	program, dir := os.Getenv("RECORD_RELEASE"), os.Getenv("RECORD_TO")
	if program == "" || dir == "" {
		t.Skip("scripts/fixtures.sh sets RECORD_RELEASE and RECORD_TO")
	}
	ours := binary
	binary = program
	t.Cleanup(func() { binary = ours })
	data := filepath.Join(t.TempDir(), "data")
	m := startNode(t, mailboxArgs(t, data)...)
	role := newTap(t, m.Roles)
	g := startNode(t, gatewayArgs(t, m, "--mailbox", role.addr())...)
	link := newTap(t, g.Link)
	_, verdict := benchChat(t, &server{addresses: addresses{HTTP: g.HTTP, Link: link.addr(), Data: data}},
		"--users", "6", "--friends", "2", "--messages", "2")
	verdict().check(t)
	facts := history(t, g)
	secret, err := os.ReadFile(filepath.Join(data, "cluster.secret"))
	if err != nil {
		t.Fatal(err)
	}
	facts.Secret = hex.EncodeToString(bytes.TrimSpace(secret))
	g.stop(t)
	m.kill()
	record(t, filepath.Join(dir, "killed.tar.gz"), archive(t, data))
	again := startNode(t, mailboxArgs(t, data)...)
	gate := startNode(t, gatewayArgs(t, again)...)
	for _, u := range facts.Users {
		keepCursor(t, gate, u)
	}
	gate.stop(t)
	again.stop(t)
	record(t, filepath.Join(dir, "stopped.tar.gz"), archive(t, data))
	recordStream(t, dir, "role", role.all()[0])
	recordStream(t, dir, "link", link.all()[0])
	recordFacts(t, filepath.Join(dir, "facts.json"), facts)
	recordNodes(t, dir)
	recordPostgres(t, dir)
	recordRegions(t, dir)
	recordStandby(t, dir)
}

// history is what three people do before the release ends.
func history(t *testing.T, s *server) (f releases.Facts) {
	w := &world{server: s, http: "http://" + s.HTTP}
	ann, bob, carol := newUser(t, w, "ann"), newUser(t, w, "bob"), newUser(t, w, "carol")
	ac, bc, cc := ann.dial(t, "tcp://"+s.Link, ann.token), bob.dial(t, "tcp://"+s.Link, bob.token), carol.dial(t, "tcp://"+s.Link, carol.token)
	makeFriends(t, ann, bob, ac, bc)
	for i := range 30 {
		if _, err := ac.SendText(testContext(t), bob.id, fmt.Sprintf("ping %d", i)); err != nil {
			t.Fatal(err)
		}
		if _, err := bc.SendText(testContext(t), ann.id, fmt.Sprintf("pong %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	f.Unopened = spend(t, s, ann, bob, ac, bc)
	if _, err := carol.api.RequestContact(testContext(t), ann.id, "it is carol"); err != nil {
		t.Fatal(err)
	}
	nextContact(t, ac, client.ContactRequested)
	tokens := map[*user][]string{}
	for _, u := range []*user{ann, bob, carol} {
		token, _ := u.login(t)
		tokens[u] = []string{u.token, token}
	}
	f.Unheard = releases.Unheard{ClientSeq: 1, Text: "did this arrive?"}
	got, err := w.api(tokens[ann][1]).Send(testContext(t), bob.id, client.ClientSeq(f.Unheard.ClientSeq), client.Text(f.Unheard.Text))
	if err != nil {
		t.Fatal(err)
	}
	f.Unheard.Seq = uint64(got.Seq)
	next(t, bc, client.Message)
	for _, c := range []*client.Client{ac, bc, cc} {
		c.Close()
	}
	for _, u := range []*user{ann, bob, carol} {
		f.Users = append(f.Users, userFacts(t, u, tokens[u]))
	}
	return f
}

// spend moves money about, and leaves an envelope that nobody has opened.
func spend(t *testing.T, s *server, ann, bob *user, ac, bc *client.Client) releases.Envelope {
	operator := []string{"--token-file", filepath.Join(s.Data, "operator.token")}
	id := strconv.FormatUint(uint64(ann.id), 10)
	for _, args := range [][]string{
		{"wallet", "top-up", s.HTTP, id, "10000", "--reference", "first"},
		{"campaign", "create", s.HTTP, "--sponsor", id, "--total", "1000", "--count", "10", "--rate", "50", "--limit", "1"},
	} {
		if _, err := run(t, "", append(args, operator...)...); err != nil {
			t.Fatal(err)
		}
	}
	envelope := func(cents client.Cents) uint64 {
		sent, err := ac.SendEnvelope(testContext(t), client.NewKey(), client.Envelope{To: []client.UserID{bob.id}, Total: cents, Shares: 1, Greeting: "good luck"})
		if err != nil {
			t.Fatal(err)
		}
		wantMoney(t, bc, client.EnvelopeReceived, 0)
		return sent.Envelope
	}
	if _, err := bc.OpenEnvelope(testContext(t), envelope(300)); err != nil {
		t.Fatal(err)
	}
	wantMoney(t, bc, client.EnvelopeOpened, 300)
	return releases.Envelope{ID: envelope(250), Cents: 250}
}

func userFacts(t *testing.T, u *user, tokens []string) releases.User {
	f := releases.User{Name: u.name, ID: uint64(u.id), Tokens: tokens}
	balance, err := u.api.Balance(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	f.Balance = int64(balance)
	for _, e := range timeline(t, u.w.api(tokens[0])) {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		f.Timeline = append(f.Timeline, b)
	}
	// Half of it is stored by the second device.
	f.Cursor = uint64(len(f.Timeline) / 2)
	keepCursor(t, u.w.server, f)
	return f
}

// keepCursor says what the second device has stored.
func keepCursor(t *testing.T, s *server, u releases.User) {
	t.Helper()
	w := &world{server: s, http: "http://" + s.HTTP}
	if _, _, err := w.api(u.Tokens[1]).Sync(testContext(t), &u.Cursor, 1, 0); err != nil {
		t.Fatal(err)
	}
}

// timeline is all of a user's.
func timeline(t *testing.T, api *client.API) (all []client.Entry) {
	t.Helper()
	for at := uint64(0); ; at = uint64(all[len(all)-1].Seq) {
		list, head, err := api.Sync(testContext(t), &at, 50, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			e.Time = e.Time.UTC()
			all = append(all, e)
		}
		if len(all) == 0 || all[len(all)-1].Seq == head {
			return all
		}
	}
}

// archive is a data directory as a tar file.
func archive(t *testing.T, dir string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// record writes a compressed file.
func record(t *testing.T, path string, b []byte) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		_, err = io.Copy(z, bytes.NewReader(b))
	}
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

package remote

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/wire"
)

// raw is an end of a link that a test speaks for.
type raw struct {
	t  *testing.T
	in inbox
}

// dialAsClient makes a link to a server.
func dialAsClient(t *testing.T, addr string) *raw {
	t.Helper()
	r := &raw{t: t, in: newInbox(dialRaw(t, addr))}
	if _, err := greet(&r.in, testSecret, hello{node: "later", instance: randomID()}, patience.Limit); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *raw) say(b []byte) {
	r.t.Helper()
	if _, err := r.in.nc.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

// hear returns the next frame.
func (r *raw) hear() (wire.Type, []byte) {
	r.t.Helper()
	t, payload, err := r.in.Frame(maxFrame)
	if err != nil {
		r.t.Fatal(err)
	}
	return t, payload
}

const typeLater wire.Type = 60

// laterHead is a head with a field that is not known yet.
func laterHead(b []byte) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, 14, protowire.VarintType), 1)
}

// TestServerUnderstandsALaterClient as far as it can: frames and fields that it
// does not know are skipped.
func TestServerUnderstandsALaterClient(t *testing.T) {
	m := newFakeMailbox()
	ln, addr := listen(t, "tcp")
	s := serve(t, ln, ServerConfig{Mailbox: m})
	r := dialAsClient(t, addr)
	r.say(wire.AppendFrame(nil, typeLater, []byte("what is this")))
	b, at := openHead(nil, typeSubmit)
	b = closeHead(laterHead((&submitHead{7, im.User(5), commandCodecOf(&im.Counters{}).code}).append(b)), at)
	b = append(b, withUnknown(appendUint(nil, 1, im.DeviceID(3)))...)
	r.say(closeFrame(b, at))
	typ, payload := r.hear()
	head, _, err := splitHead(payload)
	var h answerHead
	if err != nil || h.read(head) != nil || typ != typeAnswer || h.id != 7 {
		t.Fatalf("heard %s, %+v, %v", typ, h, err)
	}
	if c := m.last().(*im.Counters); c.Device != 3 || s.Stats().Skipped != 1 {
		t.Errorf("the mailbox got %+v; stats %+v", c, s.Stats())
	}
}

// TestClientUnderstandsALaterServer likewise; a result that it does not know
// fails its command only.
func TestClientUnderstandsALaterServer(t *testing.T) {
	ln, addr := listen(t, "tcp")
	t.Cleanup(func() { ln.Close() })
	c := connect(t, ClientConfig{Addr: addr})
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	r := &raw{t: t, in: newInbox(nc)}
	if _, err := receive(&r.in, testSecret, welcome{node: "later", incarnation: 1, window: 4}, patience.Limit); err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, 2)
	done := im.CompletionFunc(func(_ im.Command, _ im.Result, err error) { answers <- err })
	for _, code := range []uint64{1 << 20, codeNothing} {
		c.Submit(im.User(1), &im.Counters{}, done)
		typ, payload := r.hear()
		head, _, err := splitHead(payload)
		var h submitHead
		if err != nil || h.read(head) != nil || typ != typeSubmit {
			t.Fatalf("heard %s, %v", typ, err)
		}
		r.say(wire.AppendFrame(nil, typeLater, nil))
		b, at := openHead(nil, typeAnswer)
		b = closeHead(laterHead((&answerHead{h.id, code}).append(b)), at)
		r.say(closeFrame(b, at))
	}
	if err := <-answers; im.KindOf(err) != im.Unimplemented {
		t.Errorf("a result of a later version: %v", err)
	}
	if err := <-answers; err != nil {
		t.Errorf("the next command: %v", err)
	}
	if st := c.Stats(); st.Skipped != 2 || st.Losses != 0 {
		t.Errorf("stats %+v", st)
	}
}

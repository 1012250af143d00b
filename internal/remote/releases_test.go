package remote

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/releases"
	"github.com/skein-im/skein/internal/wire"
)

// frame is one of a recorded link.
type frame struct {
	typ     wire.Type
	payload []byte
}

func framesOf(t *testing.T, b []byte) (all []frame) {
	t.Helper()
	for len(b) > 0 {
		typ, header, size, err := wire.ParseHeader(b, maxFrame)
		if err != nil || header == 0 || len(b) < header+size {
			t.Fatalf("the recording ends with half a frame: %v", err)
		}
		all = append(all, frame{typ, b[header : header+size]})
		b = b[header+size:]
	}
	return all
}

// TestRoleLinksOfReleases: this version's handshake is that of an earlier
// release, it reads all its frames, and says the same in the same bytes, so
// that the earlier one reads it.
func TestRoleLinksOfReleases(t *testing.T) {
	all, err := releases.All("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		facts, err := r.Facts()
		if err != nil {
			t.Fatal(err)
		}
		t.Run(r.Name, func(t *testing.T) {
			rehear(t, r, facts, "role", "Send", "AckDelivered", "Attach", "Detach", "Authenticate", "Contact", "deliver", "Sent")
		})
		if !r.Has("nodes-up") {
			continue
		}
		if facts, err = r.NodesFacts(); err != nil {
			t.Fatal(err)
		}
		t.Run(r.Name+" between nodes", func(t *testing.T) { rehear(t, r, facts, "nodes", "forward", "served") })
	}
}

// rehear goes through a recorded link, in which some frames must be.
func rehear(t *testing.T, r releases.Release, facts releases.Facts, link string, want ...string) {
	secret, err := hex.DecodeString(facts.Secret)
	if err != nil {
		t.Fatal(err)
	}
	up, err := r.Stream(link + "-up")
	if err != nil {
		t.Fatal(err)
	}
	down, err := r.Stream(link + "-down")
	if err != nil {
		t.Fatal(err)
	}
	fromClient, fromServer := framesOf(t, up), framesOf(t, down)
	checkProofs(t, secret, fromClient, fromServer)
	seen := map[string]int{}
	for _, f := range append(fromClient[2:], fromServer[3:]...) {
		name, again := sayAgain(t, f)
		if !bytes.Equal(again, f.payload) {
			t.Errorf("%s %x is written as %x", name, f.payload, again)
		}
		seen[name]++
	}
	for _, name := range want {
		if seen[name] == 0 {
			t.Errorf("there is no %s in it, but %v", name, seen)
		}
	}
}

// checkProofs goes through the recorded handshake as either end does.
func checkProofs(t *testing.T, secret []byte, fromClient, fromServer []frame) {
	t.Helper()
	if len(fromClient) < 3 || len(fromServer) < 3 {
		t.Fatalf("%d and %d frames", len(fromClient), len(fromServer))
	}
	h := handshake{secret: secret}
	for _, step := range []struct {
		frame frame
		typ   wire.Type
		who   string
		set   func(*fields)
	}{
		{fromServer[0], typeChallenge, "", new(challenge).set},
		{fromClient[0], typeHello, "", new(hello).set},
		{fromClient[1], typeProof, clientSide, nil},
		{fromServer[1], typeWelcome, "", new(welcome).set},
		{fromServer[2], typeProof, serverSide, nil},
	} {
		if step.frame.typ != step.typ {
			t.Fatalf("%s comes instead of %s", step.frame.typ, step.typ)
		}
		f := fields{rest: step.frame.payload}
		for f.next() {
			if step.set != nil {
				step.set(&f)
			} else if !bytes.Equal(f.bytes(), h.mac(step.who)) {
				t.Errorf("the proof of the %s is another one", step.who)
			}
		}
		if err := f.err("handshake"); err != nil {
			t.Fatal(err)
		}
		h.note(step.frame.payload)
	}
}

// sayAgain reads a payload and writes it as this version does.
func sayAgain(t *testing.T, f frame) (name string, again []byte) {
	t.Helper()
	var err error
	switch f.typ {
	case typeSubmit:
		name, again, err = submitAgain(f.payload)
	case typeAnswer:
		name, again, err = answerAgain(f.payload)
	case typeDeliver:
		name, again, err = deliverAgain(f.payload)
	case typeKick:
		var k kick
		err = k.read(f.payload)
		name, again = "kick", payloadOf(k.append(nil))
	case typeLevel:
		var l im.Level
		l, err = readLevel(f.payload)
		name, again = "level", payloadOf(appendLevel(nil, l))
	case typeClose:
		var w farewell
		err = w.read(f.payload)
		name, again = "farewell", payloadOf(w.append(nil))
	case typeForward:
		var m *entity.Message
		if m, err = ReadMessage(f.payload); err == nil {
			name, again = "forward", AppendMessage(nil, m)
		}
	case typeServed, typeLeft:
		var slots []im.Slot
		var epochs []im.Epoch
		slots, epochs, err = readServed(f.payload)
		name, again = "served", appendServed(nil, slots, epochs)
	case typePing, typePong, typeGoAway:
		return "other", f.payload
	default:
		t.Fatalf("%s is not known", f.typ)
	}
	if err != nil {
		t.Fatalf("%s %x: %v", f.typ, f.payload, err)
	}
	return name, again
}

// payloadOf takes a frame's header off.
func payloadOf(b []byte) []byte {
	_, header, _, err := wire.ParseHeader(b, maxFrame)
	if err != nil {
		return nil
	}
	return b[header:]
}

func submitAgain(payload []byte) (string, []byte, error) {
	head, body, err := splitHead(payload)
	if err != nil {
		return "", nil, err
	}
	var h submitHead
	if err := h.read(head); err != nil {
		return "", nil, err
	}
	c := commandCodecFor(h.code)
	if c == nil {
		return "", nil, im.Errorf(im.Unimplemented, "command %d", h.code)
	}
	cmd, err := c.read(body)
	if err != nil {
		return c.name, nil, err
	}
	b, at := openHead(nil, typeSubmit)
	b = closeHead(h.append(b), at)
	return c.name, payloadOf(closeFrame(c.append(b, cmd), at)), nil
}

func answerAgain(payload []byte) (string, []byte, error) {
	head, body, err := splitHead(payload)
	if err != nil {
		return "", nil, err
	}
	var h answerHead
	if err := h.read(head); err != nil {
		return "", nil, err
	}
	res, err := readAnswer(h.code, body)
	if im.KindOf(err) == im.Unimplemented && h.code != codeError {
		return "", nil, err
	}
	name := "nothing"
	for i := range resultCodecs {
		if resultCodecs[i].code == h.code {
			name = resultCodecs[i].name
		}
	}
	return name, payloadOf(appendAnswer(nil, h.id, res, err)), nil
}

func deliverAgain(payload []byte) (string, []byte, error) {
	head, body, err := splitHead(payload)
	if err != nil {
		return "", nil, err
	}
	var h deliverHead
	if err := h.read(head); err != nil {
		return "", nil, err
	}
	entries, err := readEntries(body)
	return "deliver", payloadOf(appendDeliver(nil, &h, entries)), err
}

package remote

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
)

// FuzzCommand: whatever is read is carried on unchanged, and what is wrong is
// Invalid.
func FuzzCommand(f *testing.F) {
	for _, cmd := range sampleCommands(f) {
		c := commandCodecOf(cmd)
		f.Add(c.code, c.append(nil, full(cmd)))
	}
	f.Add(uint64(3), []byte{0x3a, 0x02, 0x08})
	f.Add(uint64(15), []byte{0x0a, 0x01, 0xff})
	f.Fuzz(func(t *testing.T, code uint64, b []byte) {
		c := commandCodecFor(code)
		if c == nil {
			return
		}
		cmd, err := c.read(b)
		if err != nil {
			mustBeInvalid(t, err)
			return
		}
		again, err := c.read(c.append(nil, cmd))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(normalCommand(cmd), normalCommand(again), unexported); d != "" {
			t.Fatal(d)
		}
	})
}

func mustBeInvalid(t *testing.T, err error) {
	t.Helper()
	if k := im.KindOf(err); k != im.Invalid && k != im.TooLarge {
		t.Fatalf("error %v is neither Invalid nor TooLarge", err)
	}
}

// normalCommand makes empty bodies absent, as encoding does.
func normalCommand(cmd im.Command) im.Command {
	switch cmd := cmd.(type) {
	case *im.Send:
		cmd.Content.Body = append([]byte(nil), cmd.Content.Body...)
	case *im.SendNumbered:
		cmd.Content.Body = append([]byte(nil), cmd.Content.Body...)
	}
	return cmd
}

// FuzzAnswer is FuzzCommand for results and errors.
func FuzzAnswer(f *testing.F) {
	for i, res := range sampleResults(f) {
		if _, ok := res.(*page); !ok {
			res = full(res)
		}
		b, _ := resultCodecs[i].append(nil, res)
		f.Add(resultCodecs[i].code, b)
	}
	f.Add(uint64(codeError), appendError(nil, &im.Error{Kind: im.Busy, Detail: "no", RetryAfterMS: 5, Expected: 6}))
	f.Add(uint64(codeNothing), []byte(nil))
	f.Fuzz(func(t *testing.T, code uint64, b []byte) {
		res, err := readAnswer(code, b)
		if code == codeError {
			if _, ok := err.(*im.Error); !ok {
				t.Fatalf("an error was read as %v", err)
			}
			_, again := roundTrip(t, nil, err)
			if d := cmp.Diff(err, again); d != "" {
				t.Fatal(d)
			}
			return
		}
		if err != nil {
			if im.KindOf(err) != im.Unimplemented {
				mustBeInvalid(t, err)
			}
			return
		}
		again, err := roundTrip(t, res, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(res, again, unexported); d != "" {
			t.Fatal(d)
		}
	})
}

// FuzzFrames reads every kind of payload there is.
func FuzzFrames(f *testing.F) {
	f.Add(appendDeliver(nil, &deliverHead{1, 2, 3}, [][]byte{[]byte("entry")})[1+lengthBytes:])
	f.Add((&kick{1, im.CloseReplaced, "reason"}).append(nil)[1+lengthBytes:])
	f.Add((&farewell{im.CloseProtocol, "reason"}).append(nil)[1+lengthBytes:])
	f.Add(appendLevel(nil, 9)[1+lengthBytes:])
	f.Add([]byte{200, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(err error) {
			if err != nil {
				mustBeInvalid(t, err)
			}
		}
		head, body, err := splitHead(b)
		check(err)
		check(new(submitHead).read(head))
		check(new(answerHead).read(head))
		check(new(deliverHead).read(head))
		entries, err := readEntries(body)
		check(err)
		for _, e := range entries {
			if len(e) != cap(e) {
				t.Fatal("an entry may be appended to")
			}
		}
		check(new(kick).read(b))
		check(new(farewell).read(b))
		_, err = readLevel(b)
		check(err)
	})
}

// FuzzHandshake gives both ends garbage for what the other should say.
func FuzzHandshake(f *testing.F) {
	f.Add([]byte(nil))
	f.Add((&farewell{im.CloseProtocol, "reason"}).append(nil))
	h := handshake{secret: testSecret}
	h.say(typeChallenge, (&challenge{version, newNonce()}).append)
	f.Add(bytes.Clone(h.out))
	h.out = nil
	h.say(typeHello, (&hello{version: version, oldest: oldest, node: "n", nonce: newNonce(), instance: 1}).append)
	h.prove(clientSide)
	f.Add(bytes.Clone(h.out))
	h.out = nil
	h.say(typeWelcome, (&welcome{version: version, node: "n", window: 1}).append)
	h.prove(serverSide)
	f.Add(bytes.Clone(h.out))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := newInbox(&script{in: b})
		if _, err := receive(&in, testSecret, welcome{node: "m", window: 1}, patience.Limit); err == nil {
			t.Fatal("the server let garbage in")
		}
		in = newInbox(&script{in: b})
		if _, err := greet(&in, testSecret, hello{node: "g", instance: 1}, patience.Limit); err == nil {
			t.Fatal("the client took garbage for a server")
		}
	})
}

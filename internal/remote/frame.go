package remote

import (
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// The types of frames. The list is append-only; a type that is not known is
// skipped.
const (
	typeChallenge wire.Type = 32
	typeHello     wire.Type = 33
	typeProof     wire.Type = 34
	typeWelcome   wire.Type = 35
	// typeClose ends a link at once; typeGoAway asks to end it in order.
	typeClose   wire.Type = 36
	typeGoAway  wire.Type = 37
	typePing    wire.Type = 38
	typePong    wire.Type = 39
	typeSubmit  wire.Type = 40
	typeAnswer  wire.Type = 41
	typeDeliver wire.Type = 42
	typeKick    wire.Type = 43
	typeLevel   wire.Type = 44
	// typeForward carries a link message from node to node.
	typeForward wire.Type = 45
	// typeServed says which slots a node serves from now on; both ends may.
	typeServed wire.Type = 46
	// typeReach says how it stands with the region that a link leads to.
	typeReach wire.Type = 47
	// typeLeft says which slots a node has handed over.
	typeLeft wire.Type = 48
)

const (
	// maxFrame is the most bytes a frame may carry between ends that have
	// shown that they know the secret.
	maxFrame = 16 << 20
	// maxHandshakeFrame is the limit before.
	maxHandshakeFrame = 512
	// maxDeliverBytes is about how many bytes of entries a Deliver carries.
	maxDeliverBytes = 1 << 20
)

// Some frames are in two parts: a head, whose length is one byte, and a body.
// Both are fields. The head is for the link, the body is the message.

// openFrame begins a frame; closeFrame ends it.
func openFrame(dst []byte, t wire.Type) ([]byte, int) { return openLength(append(dst, byte(t))) }

func closeFrame(dst []byte, at int) []byte { return closeLength(dst, at) }

// openHead begins a frame with a head; closeHead ends the head.
func openHead(dst []byte, t wire.Type) ([]byte, int) {
	dst, at := openFrame(dst, t)
	return append(dst, 0), at
}

func closeHead(dst []byte, at int) []byte {
	dst[at] = byte(len(dst) - at - 1)
	return dst
}

// splitHead parts a payload into head and body.
func splitHead(payload []byte) (head, body []byte, err error) {
	if len(payload) == 0 || len(payload)-1 < int(payload[0]) {
		return nil, nil, im.Errorf(im.Invalid, "a frame ends within its head")
	}
	n := 1 + int(payload[0])
	return payload[1:n], payload[n:], nil
}

// submitHead leads a command.
type submitHead struct {
	// id is unique among the commands in flight.
	id uint64
	to im.Addr
	// code is that of the command's codec.
	code uint64
}

func (h *submitHead) append(dst []byte) []byte {
	dst = appendUint(dst, 1, h.id)
	dst = appendUint(dst, 2, h.to.Kind)
	dst = appendUint(dst, 3, h.to.ID)
	return appendUint(dst, 4, h.code)
}

func (h *submitHead) read(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case 1:
			h.id = f.uint()
		case 2:
			h.to.Kind = number[im.Kind](&f)
		case 3:
			h.to.ID = f.uint()
		case 4:
			h.code = f.uint()
		}
	}
	return f.err("head of a command")
}

// answerHead leads a result.
type answerHead struct {
	id   uint64
	code uint64
}

func (h *answerHead) append(dst []byte) []byte {
	return appendUint(appendUint(dst, 1, h.id), 2, h.code)
}

func (h *answerHead) read(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case 1:
			h.id = f.uint()
		case 2:
			h.code = f.uint()
		}
	}
	return f.err("head of an answer")
}

// deliverHead leads entries first..last, which are a wire Deliver.
type deliverHead struct {
	session     im.SessionID
	first, last im.Seq
}

func (h *deliverHead) append(dst []byte) []byte {
	return appendUint(appendUint(appendUint(dst, 1, h.session), 2, h.first), 3, h.last)
}

func (h *deliverHead) read(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case 1:
			h.session = number[im.SessionID](&f)
		case 2:
			h.first = number[im.Seq](&f)
		case 3:
			h.last = number[im.Seq](&f)
		}
	}
	return f.err("head of a delivery")
}

// appendDeliver appends one frame.
func appendDeliver(dst []byte, h *deliverHead, entries [][]byte) []byte {
	dst, at := openHead(dst, typeDeliver)
	dst = closeHead(h.append(dst), at)
	return closeFrame(wire.AppendDeliver(dst, entries), at)
}

// readEntries copies the entries out of a delivery's body: one allocation
// holds them all.
func readEntries(body []byte) ([][]byte, error) {
	n := 0
	err := wire.RangeDeliver(body, func([]byte) error { n++; return nil })
	if err != nil || n == 0 {
		return nil, err
	}
	entries := make([][]byte, 0, n)
	own := append([]byte(nil), body...)
	err = wire.RangeDeliver(own, func(e []byte) error {
		entries = append(entries, e[:len(e):len(e)])
		return nil
	})
	return entries, err
}

// kick is the payload of typeKick.
type kick struct {
	session im.SessionID
	code    im.CloseCode
	reason  string
}

func (k *kick) append(dst []byte) []byte {
	dst, at := openFrame(dst, typeKick)
	dst = appendUint(dst, 1, k.session)
	dst = appendUint(dst, 2, k.code)
	return closeFrame(appendBytes(dst, 3, k.reason), at)
}

func (k *kick) read(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case 1:
			k.session = number[im.SessionID](&f)
		case 2:
			k.code = number[im.CloseCode](&f)
		case 3:
			k.reason = f.string()
		}
	}
	return f.err("kick")
}

func appendLevel(dst []byte, l im.Level) []byte {
	dst, at := openFrame(dst, typeLevel)
	return closeFrame(appendUint(dst, 1, l), at)
}

func readLevel(b []byte) (l im.Level, err error) {
	f := fields{rest: b}
	for f.next() {
		if f.num == 1 {
			l = number[im.Level](&f)
		}
	}
	return l, f.err("level")
}

// farewell is the payload of typeClose.
type farewell struct {
	code   im.CloseCode
	reason string
}

func (w *farewell) append(dst []byte) []byte {
	dst, at := openFrame(dst, typeClose)
	return closeFrame(appendBytes(appendUint(dst, 1, w.code), 2, w.reason), at)
}

func (w *farewell) read(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case 1:
			w.code = number[im.CloseCode](&f)
		case 2:
			w.reason = f.string()
		}
	}
	return f.err("farewell")
}

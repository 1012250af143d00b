package remote

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

const (
	// version is the protocol's; oldest is the oldest that is understood.
	version = 1
	oldest  = 1
	// MinSecret is the fewest bytes a secret may have.
	MinSecret = 16
	// MaxNode is the most bytes a node's name may have.
	MaxNode = 128

	nonceBytes = 32
)

// The handshake: the server sends a Challenge, the client Hello and Proof, the
// server Welcome and Proof. A proof is a MAC over everything before it, so
// neither end can be impersonated, nor anything said be changed, by one who
// does not know the secret.

// challenge opens a connection.
type challenge struct {
	version uint32
	nonce   []byte
}

func (m *challenge) append(dst []byte) []byte {
	return appendBytes(appendUint(dst, 1, m.version), 2, m.nonce)
}

func (m *challenge) set(f *fields) {
	switch f.num {
	case 1:
		m.version = number[uint32](f)
	case 2:
		m.nonce = f.bytes()
	}
}

// hello names the client.
type hello struct {
	version, oldest uint32
	node            string
	nonce           []byte
	// instance names the process, so that its sessions' identifiers do not
	// meet those of another.
	instance uint64
	// inner is 1 from a node that asks for the mailbox itself.
	inner uint32
	// region is the one that a relay is to lead to; empty: none.
	region im.Region
}

func (m *hello) append(dst []byte) []byte {
	dst = appendUint(dst, 1, m.version)
	dst = appendUint(dst, 2, m.oldest)
	dst = appendBytes(dst, 3, m.node)
	dst = appendBytes(dst, 4, m.nonce)
	dst = appendUint(dst, 5, m.instance)
	dst = appendUint(dst, 6, m.inner)
	return appendBytes(dst, 7, m.region)
}

func (m *hello) set(f *fields) {
	switch f.num {
	case 1:
		m.version = number[uint32](f)
	case 2:
		m.oldest = number[uint32](f)
	case 3:
		m.node = f.string()
	case 4:
		m.nonce = f.bytes()
	case 5:
		m.instance = f.uint()
	case 6:
		m.inner = number[uint32](f)
	case 7:
		m.region = im.Region(f.string())
	}
}

// welcome names the server.
type welcome struct {
	version     uint32
	node        string
	incarnation uint64
	// window is how many commands may be in flight.
	window uint32
}

func (m *welcome) append(dst []byte) []byte {
	dst = appendUint(dst, 1, m.version)
	dst = appendBytes(dst, 2, m.node)
	dst = appendUint(dst, 3, m.incarnation)
	return appendUint(dst, 4, m.window)
}

func (m *welcome) set(f *fields) {
	switch f.num {
	case 1:
		m.version = number[uint32](f)
	case 2:
		m.node = f.string()
	case 3:
		m.incarnation = f.uint()
	case 4:
		m.window = number[uint32](f)
	}
}

// errWrongSecret is how a handshake ends whose proof is wrong.
var errWrongSecret = im.Errorf(im.Unauthenticated, "the secrets of the two nodes differ")

// handshake is the state of one, at either end.
type handshake struct {
	in     *inbox
	secret []byte
	// said is everything said so far.
	said []byte
	out  []byte
}

// note adds a payload to what has been said.
func (h *handshake) note(payload []byte) {
	h.said = binary.BigEndian.AppendUint64(h.said, uint64(len(payload)))
	h.said = append(h.said, payload...)
}

func (h *handshake) mac(who string) []byte {
	m := hmac.New(sha256.New, h.secret)
	m.Write([]byte("skein role link, " + who))
	m.Write(h.said)
	return m.Sum(nil)
}

// say queues a message.
func (h *handshake) say(t wire.Type, appendTo func([]byte) []byte) {
	payload := appendTo(nil)
	h.note(payload)
	h.out = wire.AppendFrame(h.out, t, payload)
}

// prove queues the proof of this end.
func (h *handshake) prove(who string) {
	h.say(typeProof, func(b []byte) []byte { return appendBytes(b, 1, h.mac(who)) })
}

func (h *handshake) flush() error {
	_, err := h.in.nc.Write(h.out)
	h.out = h.out[:0]
	return err
}

// hear waits for a message of one type.
func (h *handshake) hear(want wire.Type, set func(*fields)) error {
	payload, err := h.next(want)
	if err != nil {
		return err
	}
	f := fields{rest: payload}
	for f.next() {
		set(&f)
	}
	h.note(payload)
	return f.err("handshake")
}

// check waits for the proof of the other end.
func (h *handshake) check(who string) error {
	want := h.mac(who)
	var proof []byte
	if err := h.hear(typeProof, func(f *fields) {
		if f.num == 1 {
			proof = f.bytes()
		}
	}); err != nil {
		return err
	}
	if !hmac.Equal(proof, want) {
		return errWrongSecret
	}
	return nil
}

// next waits for a frame, which must be of one type.
func (h *handshake) next(want wire.Type) ([]byte, error) {
	t, payload, err := h.in.Frame(maxHandshakeFrame)
	switch {
	case err != nil:
		return nil, err
	case t == want:
		return payload, nil
	case t == typeClose:
		return nil, closedBy(payload)
	}
	return nil, im.Errorf(im.Invalid, "not a role link: unexpected %s", t)
}

// closedBy is what the other end's farewell means.
func closedBy(payload []byte) error {
	var w farewell
	if err := w.read(payload); err != nil {
		return err
	}
	kind := im.Unavailable
	if !w.code.Reconnect() {
		kind = im.Unauthenticated
	}
	return im.Errorf(kind, "the other end closed the role link: %s", w.reason)
}

const (
	clientSide = "client"
	serverSide = "server"
)

// greet is the client's side of a handshake.
func greet(in *inbox, secret []byte, me hello, timeout time.Duration) (w welcome, err error) {
	if err := in.nc.SetDeadline(time.Now().Add(timeout)); err != nil {
		return w, err
	}
	h := handshake{in: in, secret: secret}
	var c challenge
	if err := h.hear(typeChallenge, c.set); err != nil {
		return w, err
	}
	if len(c.nonce) != nonceBytes {
		return w, im.Errorf(im.Invalid, "not a role link: a nonce of %d bytes", len(c.nonce))
	}
	me.version, me.oldest, me.nonce = version, oldest, newNonce()
	h.say(typeHello, me.append)
	h.prove(clientSide)
	if err := h.flush(); err != nil {
		return w, err
	}
	if err := h.hear(typeWelcome, w.set); err != nil {
		return w, err
	}
	if err := h.check(serverSide); err != nil {
		return w, err
	}
	if w.window == 0 || w.version < oldest {
		return w, im.Errorf(im.Unavailable, "node %q speaks version %d of the role link, and this one %d to %d", w.node, w.version, oldest, version)
	}
	return w, in.nc.SetDeadline(time.Time{})
}

// receive is the server's side of a handshake.
func receive(in *inbox, secret []byte, me welcome, timeout time.Duration) (who hello, err error) {
	if err := in.nc.SetDeadline(time.Now().Add(timeout)); err != nil {
		return who, err
	}
	h := handshake{in: in, secret: secret}
	h.say(typeChallenge, (&challenge{version, newNonce()}).append)
	if err := h.flush(); err != nil {
		return who, err
	}
	if err := h.hear(typeHello, who.set); err != nil {
		return who, err
	}
	if err := h.check(clientSide); err != nil {
		return who, err
	}
	if len(who.nonce) != nonceBytes || who.instance == 0 {
		return who, im.Errorf(im.Invalid, "node %q does not say who it is", who.node)
	}
	if who.version < oldest || who.oldest > version {
		return who, im.Errorf(im.Unavailable, "node %q speaks versions %d to %d of the role link, and this one %d to %d", who.node, who.oldest, who.version, oldest, version)
	}
	me.version = version
	h.say(typeWelcome, me.append)
	h.prove(serverSide)
	if err := h.flush(); err != nil {
		return who, err
	}
	return who, in.nc.SetDeadline(time.Time{})
}

func newNonce() []byte {
	b := make([]byte, nonceBytes)
	// It never fails.
	_, _ = rand.Read(b)
	return b
}

// refuse tells the other end why its handshake failed.
func refuse(nc net.Conn, code im.CloseCode, reason string) {
	_, _ = nc.Write((&farewell{code, reason}).append(nil))
}

package sim

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// user is a person with devices. One of the article has devices that only
// receive, and sends numbered by its own send id.
type user struct {
	w       *world
	id      im.UserID
	addr    im.Addr
	article bool
	// dark: the devices are switched off, and stay so.
	dark    bool
	devices []*device
	// bodies counts the messages written.
	bodies int
	// floor are the highest counters that were answered.
	floor im.CountersInfo
	// tokens are those of devices that CreateDevice was asked for.
	tokens int
	out    article
}

func (u *user) String() string { return fmt.Sprintf("user %d", u.id) }

func (u *user) device(id im.DeviceID) *device {
	for _, d := range u.devices {
		if d.id == id {
			return d
		}
	}
	u.w.fail("%v has no device %d", u, id)
	return nil
}

func (u *user) addDevice(id im.DeviceID, token [32]byte) *device {
	d := newDevice(u, id, token)
	u.w.tokens[tokenText(token)] = d
	u.devices = append(u.devices, d)
	return d
}

func tokenHash(u im.UserID, n int) [32]byte { return sha256.Sum256(fmt.Appendf(nil, "%d/%d", u, n)) }

// tokenText is the token as Hello has it.
func tokenText(hash [32]byte) string { return fmt.Sprintf("%x", hash) }

// body writes a message that no other equals.
func (u *user) body() []byte {
	u.bodies++
	b := fmt.Appendf(nil, "%d#%d", u.id, u.bodies)
	for range u.w.rng.IntN(3) {
		b = append(b, b...)
	}
	return b
}

// act does one thing of those users do.
func (u *user) act() {
	w := u.w
	d := u.devices[w.rng.IntN(len(u.devices))]
	peer := w.users[w.rng.IntN(len(w.users))]
	switch n := w.rng.IntN(100); {
	case n < 55 && !u.article:
		for range 1 + w.rng.IntN(1+w.rng.IntN(12)) {
			if peer != u && !d.gone {
				d.send(peer.id, u.body())
			}
		}
	case n < 70:
		u.contact(peer)
	case n < 76:
		u.poll()
	case n < 79:
		d.again(false)
	case n < 82:
		d.again(true)
	case n < 88 && !d.gone:
		d.restart()
	case n < 92 && !d.gone:
		d.replace()
	case n < 93:
		u.createDevice()
	case n < 94:
		u.revoke(d)
	default:
		d.poll()
	}
}

// goDark switches the devices off; what their mailbox has taken goes its way
// without them.
func (u *user) goDark() {
	u.w.logf("%v: goes dark", u)
	u.dark = true
	for _, d := range u.devices {
		d.drop(0)
	}
}

// replace logs in again while the old connection is still up.
func (d *device) replace() {
	if d.conn == nil || !d.conn.attached || d.user.dark {
		return
	}
	if c := d.w.dial(d); c != nil {
		d.w.logf("%v: connects again", d)
		old := d.conn
		old.open = false
		d.w.after(d.w.between(5*time.Second, 20*time.Second), func() { old.end(io.EOF) })
		d.hangUp()
		d.attach(c)
	}
}

// contact takes a random step towards another user; the outcome is looked at
// in the end only.
func (u *user) contact(peer *user) {
	if peer == u || u.article || peer.article {
		return
	}
	ops := []im.ContactOp{im.ContactRequest, im.ContactRequest, im.ContactRequest, im.ContactAccept, im.ContactAccept, im.ContactAccept,
		im.ContactRefuse, im.ContactRemove, im.ContactBlock, im.ContactUnblock, im.ContactUnblock}
	cmd := &im.Contact{Op: ops[u.w.rng.IntN(len(ops))], Peer: peer.id}
	u.w.logf("%v: contact step %d towards %v", u, cmd.Op, peer)
	u.persist(3, cmd, func(im.Result, error) {})
}

// persist requests a command until it gets a definite answer, or has tried
// often enough.
func (u *user) persist(tries int, cmd im.Command, done func(im.Result, error)) {
	u.w.request(u.addr, cmd, func(res im.Result, err error) {
		if im.KindOf(err).Temporary() && tries > 1 {
			u.w.requests++
			u.w.after(u.w.between(10*time.Millisecond, 300*time.Millisecond), func() {
				u.w.requests--
				u.persist(tries-1, cmd, done)
			})
			return
		}
		done(res, err)
	})
}

// poll asks for the counters, which never go back.
func (u *user) poll() {
	floor := u.floor
	u.w.request(u.addr, &im.Counters{}, func(res im.Result, err error) {
		if err != nil {
			return
		}
		c := res.(*im.CountersInfo)
		u.w.logf("%v: counters %+v", u, *c)
		if c.SendID < floor.SendID || c.SendAckID < floor.SendAckID || c.RecvID < floor.RecvID ||
			c.ClientRecvID < floor.ClientRecvID || c.Head < floor.Head {
			u.w.fail("%v: counters went back from %+v to %+v", u, floor, *c)
		}
		if c.SendAckID > c.SendID || c.ClientRecvID > c.RecvID {
			u.w.fail("%v: impossible counters %+v", u, *c)
		}
		u.floor.SendID = max(u.floor.SendID, c.SendID)
		u.floor.SendAckID = max(u.floor.SendAckID, c.SendAckID)
		u.floor.RecvID = max(u.floor.RecvID, c.RecvID)
		u.floor.ClientRecvID = max(u.floor.ClientRecvID, c.ClientRecvID)
		u.floor.Head = max(u.floor.Head, c.Head)
	})
}

// createDevice adds a device, which then starts from the beginning.
func (u *user) createDevice() {
	if len(u.devices) > 4 {
		return
	}
	u.tokens++
	token := tokenHash(u.id, u.tokens)
	u.persist(10, &im.CreateDevice{Name: "new", TokenHash: token}, func(res im.Result, err error) {
		if err != nil {
			return
		}
		id := res.(*im.DeviceCreated).Device
		if slices.ContainsFunc(u.devices, func(d *device) bool { return d.id == id }) {
			u.w.fail("%v: device %d was given out twice", u, id)
		}
		u.w.logf("%v: has a new device %d", u, id)
		u.addDevice(id, token).connect()
	})
}

// revoke takes a device away, unless it is the last.
func (u *user) revoke(d *device) {
	left := 0
	for _, o := range u.devices {
		if !o.revoking {
			left++
		}
	}
	if left < 2 || d.revoking {
		return
	}
	u.w.logf("%v: is to be revoked", d)
	d.revoking = true
	u.persist(1000, &im.RevokeDevice{Device: d.id}, func(_ im.Result, err error) {
		if err != nil && im.KindOf(err) != im.Unavailable {
			u.w.fail("%v: cannot be revoked: %v", d, err)
		}
	})
}

package entity

import (
	"cmp"
	"crypto/subtle"
	"slices"
	"unicode/utf8"

	"github.com/skein-im/skein/internal/im"
)

// device is one device of a user: its token, its cursor, and the answers its
// last sends got.
type device struct {
	id        im.DeviceID
	tokenHash [32]byte
	name      string
	created   im.Millis
	revoked   bool
	cursor    im.Seq
	clientSeq im.ClientSeq
	// answers are those of clientSeq-len+1 .. clientSeq.
	answers []sendAnswer
	dirty   bool
}

type sendAnswer struct {
	seq    im.Seq
	hash   uint64
	pairID uint64
	time   im.Millis
	kind   im.ErrorKind
}

// maxAnswers is how many answers a device holds before those that no repeat
// can get any more are thrown away: most of what an active user takes in memory
// is answers, so it is not twice the window.
const maxAnswers = im.AnswerWindow + im.AnswerWindow/4

// answer remembers what the device's next client_seq got.
func (d *device) answer(cs im.ClientSeq, a sendAnswer) {
	d.clientSeq = cs
	d.dirty = true
	switch n := len(d.answers); {
	case n >= maxAnswers:
		d.answers = append(d.answers[:0], d.kept()...)
	case n == cap(d.answers):
		d.answers = append(make([]sendAnswer, 0, min(max(2*n, 4), maxAnswers)), d.answers...)
	}
	d.answers = append(d.answers, a)
}

// kept is the answers that repeats can still get.
func (d *device) kept() []sendAnswer {
	return d.answers[max(0, len(d.answers)-im.AnswerWindow):]
}

// repeat is the answer to a client_seq that was used before.
func (d *device) repeat(cs im.ClientSeq, hash uint64) (im.Result, error) {
	kept := d.kept()
	back := uint64(d.clientSeq - cs)
	if back >= uint64(len(kept)) {
		return nil, im.Errorf(im.Stale, "client_seq %d was answered long ago; the last one is %d", cs, d.clientSeq)
	}
	a := kept[uint64(len(kept))-1-back]
	if a.hash != hash {
		return nil, im.Errorf(im.Conflict, "client_seq %d was used for another message", cs)
	}
	if a.kind != 0 {
		return nil, refusalError(a.kind)
	}
	return &im.Sent{Seq: a.seq, ClientSeq: cs, PairID: a.pairID, Time: a.time}, nil
}

func (u *user) addDevice(d *device) {
	d.dirty = true
	i, _ := u.findDevice(d.id)
	u.devices = slices.Insert(u.devices, i, d)
}

// device is one that the user has or had, or nil.
func (u *user) device(id im.DeviceID) *device {
	if i, ok := u.findDevice(id); ok {
		return u.devices[i]
	}
	return nil
}

// findDevice is where a device is, or would be.
func (u *user) findDevice(id im.DeviceID) (int, bool) {
	return slices.BinarySearchFunc(u.devices, id, func(d *device, id im.DeviceID) int { return cmp.Compare(d.id, id) })
}

// login is the device that a token belongs to.
func (u *user) login(id im.DeviceID, tokenHash [32]byte) (*device, error) {
	d := u.device(id)
	if d == nil || d.revoked || subtle.ConstantTimeCompare(d.tokenHash[:], tokenHash[:]) != 1 {
		return nil, im.Errorf(im.Unauthenticated, "the token is not valid; log in again")
	}
	return d, nil
}

func (u *user) attached(d *device, cursor im.Seq) *im.Attached {
	return &im.Attached{Name: u.name, Head: u.head, Cursor: cursor, ClientSeq: d.clientSeq, Generation: u.generation()}
}

func (u *user) handleAuthenticate(tx *Tx, c *im.Authenticate) (im.Result, error) {
	d, err := u.login(c.Device, c.TokenHash)
	if err != nil {
		return nil, err
	}
	u.greet(tx)
	a := u.attached(d, d.cursor)
	if g := c.Generation; g != nil && *g != u.generation() {
		kept := u.common(*g)
		a.Kept = &kept
	}
	return a, nil
}

// handleAttach lets a device in. One without a cursor of its own continues
// from the mailbox's. A session that is resumed continues where its connection
// is, which acknowledges nothing. One that has got entries which the store has
// lost continues where those begin.
func (u *user) handleAttach(tx *Tx, c *im.Attach) (im.Result, error) {
	d, err := u.login(c.Device, c.TokenHash)
	if err != nil {
		return nil, err
	}
	u.enterGeneration(tx)
	u.greet(tx)
	switch {
	case c.Resume != nil:
		return u.lets(d, c.Resume.After, c.Generation)
	case c.Cursor == nil:
		return u.attached(d, d.cursor), nil
	}
	a, err := u.lets(d, *c.Cursor, c.Generation)
	if err != nil {
		return nil, err
	}
	u.moveCursor(d, a.Cursor)
	return a, nil
}

func (u *user) handleCreate(tx *Tx, c *im.CreateUser) error {
	if err := im.CheckName(c.Name); err != nil {
		return err
	}
	if u.exists {
		if u.name != c.Name {
			return im.Errorf(im.AlreadyExists, "user %d exists under another name", u.id)
		}
		return nil
	}
	u.enterGeneration(tx)
	u.exists, u.name = true, c.Name
	u.Snapshot(tx)
	return nil
}

func (u *user) handleCreateDevice(tx *Tx, c *im.CreateDevice) (im.Result, error) {
	if len(c.Name) > im.MaxDeviceName || !utf8.ValidString(c.Name) {
		return nil, im.Errorf(im.Invalid, "a device name is UTF-8 text of at most %d bytes", im.MaxDeviceName)
	}
	live := 0
	for _, d := range u.devices {
		if d.revoked {
			continue
		}
		live++
		if d.tokenHash == c.TokenHash {
			return &im.DeviceCreated{Device: d.id}, nil
		}
	}
	if live >= im.MaxDevices {
		return nil, im.Errorf(im.TooLarge, "at most %d devices can be logged in; log one out first", im.MaxDevices)
	}
	d := &device{id: u.lastDevice() + 1, tokenHash: c.TokenHash, name: c.Name, created: tx.Now}
	u.addDevice(d)
	u.forgetRevoked(tx)
	u.Snapshot(tx)
	return &im.DeviceCreated{Device: d.id}, nil
}

// lastDevice is the highest number a device has had.
func (u *user) lastDevice() im.DeviceID {
	if len(u.devices) == 0 {
		return 0
	}
	return u.devices[len(u.devices)-1].id
}

// forgetRevoked drops revoked devices, but for the one with the highest
// number: its record keeps the number from being given out again.
func (u *user) forgetRevoked(tx *Tx) {
	last := u.lastDevice()
	u.devices = slices.DeleteFunc(u.devices, func(d *device) bool {
		if !d.revoked || d.id == last {
			return false
		}
		tx.Delete = append(tx.Delete, deviceKey(d.id))
		return true
	})
}

func (u *user) handleRevokeDevice(tx *Tx, c *im.RevokeDevice) error {
	if c.Device == 0 || c.Device > u.lastDevice() {
		return im.Errorf(im.NotFound, "there is no device %d", c.Device)
	}
	// One that is not known any more was revoked before.
	if d := u.device(c.Device); d != nil && !d.revoked {
		*d = device{id: d.id, created: d.created, revoked: true, dirty: true}
		u.forgetRevoked(tx)
		u.Snapshot(tx)
	}
	tx.Kicks = append(tx.Kicks, Kick{c.Device, im.CloseRevoked, "the device was logged out"})
	return nil
}

func (u *user) listDevices() []im.DeviceInfo {
	list := make([]im.DeviceInfo, 0, len(u.devices))
	for _, d := range u.devices {
		if !d.revoked {
			list = append(list, im.DeviceInfo{Device: d.id, Name: d.name, Created: d.created, Cursor: d.cursor})
		}
	}
	return list
}

// handleAckDelivered moves a device's cursor. It is made durable with the
// next snapshot: until then a restart may deliver again what the device has,
// and the device knows.
func (u *user) handleAckDelivered(c *im.AckDelivered) error {
	d := u.device(c.Device)
	if d == nil || d.revoked {
		return im.Errorf(im.Unauthenticated, "the device is not logged in")
	}
	if c.Seq > u.head {
		return im.Errorf(im.Invalid, "entry %d does not exist yet", c.Seq)
	}
	u.moveCursor(d, c.Seq)
	return nil
}

// moveCursor takes an acknowledgement of everything up to seq.
func (u *user) moveCursor(d *device, seq im.Seq) {
	if seq <= d.cursor {
		return
	}
	d.cursor, d.dirty = seq, true
	u.dirty = true
	// Entries after the cursor hold at most one received message each: the
	// difference is a lower bound, exact once the device has caught up.
	if behind := uint64(u.head - seq); behind <= u.recvID {
		u.clientRecvID = max(u.clientRecvID, u.recvID-behind)
	}
}

// befriend makes friends without asking; the peer is made so likewise.
func (p *pair) befriend() {
	if p.contact != im.Requested && p.contact != im.Friends {
		p.yes = 0
	}
	p.contact = im.Friends
}

// handleProvision makes the user exist with friends and devices.
func (u *user) handleProvision(tx *Tx, c *im.Provision) error {
	if u.name != "" {
		return im.Errorf(im.AlreadyExists, "user %d has registered", u.id)
	}
	if len(c.Friends) > im.MaxContacts || len(c.TokenHashes) > im.MaxDevices {
		return im.Errorf(im.TooLarge, "at most %d friends and %d devices", im.MaxContacts, im.MaxDevices)
	}
	strangers := 0
	for _, f := range c.Friends {
		if f == 0 || f == u.id {
			return im.Errorf(im.Invalid, "user %d cannot have friend %d", u.id, f)
		}
		if u.pairs[im.User(f)] == nil {
			strangers++
		}
	}
	if len(u.order)+strangers > im.MaxContacts {
		return im.Errorf(im.TooLarge, "a user has dealings with at most %d others", im.MaxContacts)
	}
	u.enterGeneration(tx)
	u.exists = true
	for _, f := range c.Friends {
		u.touch(im.User(f)).befriend()
	}
	last := u.lastDevice()
	for i, hash := range c.TokenHashes {
		id := im.DeviceID(i + 1)
		if d := u.device(id); d != nil {
			d.tokenHash, d.dirty = hash, true
		} else if id > last {
			u.addDevice(&device{id: id, tokenHash: hash, created: tx.Now})
		}
	}
	u.Snapshot(tx)
	return nil
}

package fakemailbox

import (
	"slices"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

type user struct {
	id       im.UserID
	name     string
	devices  []*device
	contacts map[im.UserID]*im.ContactInfo
	timeline [][]byte
	// peers has the peer of every timeline entry.
	peers          []im.UserID
	sendID, recvID uint64
	// generation and kept are those of Rewind.
	generation im.Generation
	kept       im.Seq
}

type device struct {
	name    string
	hash    [32]byte
	created im.Millis
	cursor  im.Seq
	revoked bool
	sent    []*im.Sent
}

func (u *user) head() im.Seq { return im.Seq(len(u.timeline)) }

func (u *user) device(id im.DeviceID) *device {
	if id == 0 || int(id) > len(u.devices) || u.devices[id-1].revoked {
		return nil
	}
	return u.devices[id-1]
}

func (u *user) authenticate(id im.DeviceID, hash [32]byte) (*im.Attached, error) {
	d := u.device(id)
	if d == nil || d.hash != hash {
		return nil, im.Errorf(im.Unauthenticated, "device %d is not known by this token", id)
	}
	return &im.Attached{Name: u.name, Head: u.head(), Cursor: d.cursor, ClientSeq: im.ClientSeq(len(d.sent)), Generation: u.generation}, nil
}

func (u *user) provision(c *im.Provision) error {
	for _, f := range c.Friends {
		u.contact(f).State = im.Friends
	}
	for i, h := range c.TokenHashes {
		if i == len(u.devices) {
			u.devices = append(u.devices, &device{hash: h})
		} else if u.devices[i].hash != h {
			return im.Errorf(im.Conflict, "device %d has another token", i+1)
		}
	}
	return nil
}

func (u *user) contact(peer im.UserID) *im.ContactInfo {
	c := u.contacts[peer]
	if c == nil {
		c = &im.ContactInfo{Peer: peer}
		u.contacts[peer] = c
	}
	return c
}

func (m *Mailbox) applyUser(u *user, cmd im.Command) (im.Result, error) {
	m.clock++
	switch c := cmd.(type) {
	case *im.Authenticate:
		at, err := u.authenticate(c.Device, c.TokenHash)
		if err == nil && c.Generation != nil && *c.Generation != u.generation {
			kept := u.kept
			at.Kept = &kept
		}
		return at, err
	case *im.CreateDevice:
		u.devices = append(u.devices, &device{name: c.Name, hash: c.TokenHash, created: m.clock})
		return &im.DeviceCreated{Device: im.DeviceID(len(u.devices))}, nil
	case *im.AckDelivered:
		if c.Seq > u.head() {
			return nil, im.Errorf(im.Invalid, "acknowledged beyond the timeline's end")
		}
		if d := u.device(c.Device); d != nil {
			d.cursor = max(d.cursor, c.Seq)
		}
		return nil, nil
	case *im.Counters:
		return u.counters(c), nil
	case *im.Contact:
		return m.applyContact(u, c)
	case *im.ListContacts:
		return u.listContacts(), nil
	case *im.Send:
		return m.send(u, c)
	case *im.SendNumbered:
		return m.sendNumbered(u, c)
	}
	return nil, im.Errorf(im.Unimplemented, "a user does not understand %T", cmd)
}

func (u *user) counters(c *im.Counters) *im.CountersInfo {
	info := &im.CountersInfo{SendID: u.sendID, SendAckID: u.sendID, RecvID: u.recvID, Head: u.head()}
	if d := u.device(c.Device); d != nil {
		info.ClientSeq = im.ClientSeq(len(d.sent))
	}
	for _, d := range u.devices {
		info.ClientRecvID = max(info.ClientRecvID, uint64(d.cursor))
	}
	for peer, c := range u.contacts {
		if c.State == im.Friends {
			info.Friends = append(info.Friends, peer)
		}
	}
	slices.Sort(info.Friends)
	return info
}

func (u *user) listContacts() []im.ContactInfo {
	var list []im.ContactInfo
	for _, c := range u.contacts {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b im.ContactInfo) int { return int(a.Peer) - int(b.Peer) })
	return list
}

// entry appends one entry and fills in its sequence.
func (u *user) entry(e *skeinv1.Entry) im.Seq {
	e.Seq = uint64(u.head() + 1)
	raw, err := proto.Marshal(e)
	if err != nil {
		panic(err)
	}
	u.timeline = append(u.timeline, raw)
	u.peers = append(u.peers, im.UserID(e.Peer))
	u.contact(im.UserID(e.Peer)).LastSeq = u.head()
	return u.head()
}

func (u *user) message(peer im.UserID, outgoing bool, now im.Millis, c im.Content) im.Seq {
	if outgoing {
		u.sendID++
	} else {
		u.recvID++
	}
	return u.entry(&skeinv1.Entry{
		Kind: skeinv1.EntryKind_ENTRY_KIND_MESSAGE, Peer: uint64(peer), Outgoing: outgoing, TimeMs: int64(now),
		Content: &skeinv1.Content{Type: skeinv1.ContentType(c.Type), Body: c.Body},
	})
}

func (u *user) mayWrite(to im.UserID) error {
	c := u.contacts[to]
	switch {
	case c != nil && c.Blocked:
		return im.Errorf(im.Blocked, "you have blocked this user")
	case c == nil || c.State != im.Friends:
		return im.Errorf(im.NotContact, "only contacts can write to each other")
	}
	return nil
}

func (m *Mailbox) send(u *user, c *im.Send) (im.Result, error) {
	d := u.device(c.Device)
	if d == nil {
		return nil, im.Errorf(im.Unauthenticated, "the device is not logged in")
	}
	next := im.ClientSeq(len(d.sent) + 1)
	switch {
	case c.ClientSeq == 0:
		c.ClientSeq = next
	case c.ClientSeq < next:
		return d.sent[c.ClientSeq-1], nil
	case c.ClientSeq > next:
		return nil, &im.Error{Kind: im.SequenceGap, Expected: next, Detail: "a send before this one has not arrived"}
	}
	if err := u.mayWrite(c.To); err != nil {
		return nil, err
	}
	seq := u.message(c.To, true, m.clock, c.Content)
	m.makeUser(c.To).message(u.id, false, m.clock, c.Content)
	d.sent = append(d.sent, &im.Sent{Seq: seq, ClientSeq: next, PairID: u.sendID, Time: m.clock})
	return d.sent[next-1], nil
}

func (m *Mailbox) sendNumbered(u *user, c *im.SendNumbered) (im.Result, error) {
	switch {
	case c.SendID <= u.sendID:
		return &im.Sent{}, nil
	case c.SendID > u.sendID+1:
		return nil, &im.Error{Kind: im.SequenceGap, Expected: im.ClientSeq(u.sendID + 1), Detail: "too far ahead"}
	}
	if err := u.mayWrite(c.To); err != nil {
		return nil, err
	}
	seq := u.message(c.To, true, m.clock, c.Content)
	m.makeUser(c.To).message(u.id, false, m.clock, c.Content)
	return &im.Sent{Seq: seq, PairID: u.sendID, Time: m.clock}, nil
}

func (m *Mailbox) applyContact(u *user, c *im.Contact) (im.Result, error) {
	other := m.users[c.Peer]
	if other == nil {
		return nil, im.Errorf(im.NotFound, "there is no user %d", c.Peer)
	}
	mine, theirs := u.contact(c.Peer), other.contact(u.id)
	switch c.Op {
	case im.ContactRequest:
		mine.State, mine.Note, theirs.State, theirs.Note = im.Requested, c.Note, im.Incoming, c.Note
	case im.ContactAccept:
		if mine.State != im.Incoming && mine.State != im.Friends {
			return nil, im.Errorf(im.NotFound, "there is no request from this user")
		}
		mine.State, theirs.State = im.Friends, im.Friends
	case im.ContactRefuse, im.ContactRemove:
		mine.State, theirs.State = im.Strangers, im.Strangers
	case im.ContactBlock:
		mine.State, theirs.State, mine.Blocked = im.Strangers, im.Strangers, true
	case im.ContactUnblock:
		mine.Blocked = false
	}
	info := *mine
	return &info, nil
}

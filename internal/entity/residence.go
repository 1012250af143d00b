package entity

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// How a user moves from one region to another.
//
// The user's entity exists in both regions for a while, under the same address;
// never do both do anything. It arrives at the destination, where log entries
// pile up, and lives on at the source. Then it departs: one commit at the source
// after which nothing changes there any more, neither by commands nor by link
// messages, which are not acknowledged. What is left of the log, and the
// records, which hold the links with all that is unacknowledged, are carried
// over. When it inhabits its new home, in one commit at the destination, it lives there: what
// was unacknowledged is sent again from there, and peers that repeat what was
// not acknowledged are answered from there. What remains at the source is
// deposed, and tells whoever still asks where the user has gone.
//
// Each step can be repeated. A departure that was begun is carried on until the
// user is deposed: the entity asks for it, again and again.

const residenceKey = "m"

// StaysBehind reports whether a record of a user is not carried to another
// region.
func StaysBehind(key string) bool { return key == residenceKey }

// residence is where a user lives, or is on the way to.
type residence struct {
	state storev1.ResidenceState
	// home is the one that the move makes. Of a user who lives here, Region is
	// where they came from.
	home im.Home
	// next, of one that arrives or has gone, is the log entry after the last.
	next im.Seq
	// first, of one that arrives, is the entry with which the log begins anew,
	// because those before it are not kept any longer; 0: it goes on.
	first im.Seq
	// staged are the records of one that arrives, stagedBytes their size.
	staged      map[string][]byte
	stagedBytes int
	// asked counts how often a departure was asked to be carried on.
	asked int
}

const (
	here     = storev1.ResidenceState_RESIDENCE_STATE_HERE
	leaving  = storev1.ResidenceState_RESIDENCE_STATE_LEAVING
	gone     = storev1.ResidenceState_RESIDENCE_STATE_GONE
	arriving = storev1.ResidenceState_RESIDENCE_STATE_ARRIVING
)

func (u *user) putResidence(tx *Tx) {
	r := u.residence
	b := appendUint(nil, 1, uint64(r.state))
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendBytes(b, appendHome(nil, r.home))
	b = appendUint(b, 3, uint64(r.next))
	tx.put(residenceKey, appendUint(b, 4, uint64(r.first)))
}

func (u *user) restoreResidence(value []byte) error {
	var m storev1.Residence
	if err := proto.Unmarshal(value, &m); err != nil {
		return err
	}
	u.residence = &residence{
		state: m.State, next: im.Seq(m.Next), first: im.Seq(m.First),
		home: im.Home{Region: im.Region(m.GetHome().GetRegion()), Version: m.GetHome().GetVersion()},
	}
	if m.State < here || m.State > arriving {
		return errDamaged
	}
	return nil
}

// absent reports whether the user does not live here, so that nothing may
// change.
func (u *user) absent() bool { return u.residence != nil && u.residence.state != here }

// Absent reports whether an entity is a user who lives in another region.
func Absent(ent Entity) bool {
	u, ok := ent.(*user)
	return ok && u.absent() && u.residence.state != leaving
}

// elsewhere restores a user who does not live here from its records, and reports
// whether that is so.
func (u *user) elsewhere(recs []im.Record) (bool, error) {
	i := slices.IndexFunc(recs, func(r im.Record) bool { return r.Key == residenceKey })
	if i < 0 {
		return false, nil
	}
	if err := u.restoreResidence(recs[i].Value); err != nil {
		return false, err
	}
	r := u.residence
	if r.state != gone && r.state != arriving {
		return false, nil
	}
	u.head = r.next - 1
	for _, rec := range recs {
		if rec.Key != residenceKey {
			r.stage(rec)
		}
	}
	return true, nil
}

// absence is why a command cannot be applied now; nil: it can.
func (r *residence) absence(cmd im.Command) error {
	switch cmd.(type) {
	case *im.Depart, *im.Depose, *im.Arrive, *im.ImportLog, *im.ImportRecords, *im.Inhabit:
		return nil
	}
	switch r.state {
	case gone:
		return errMoved(r.home)
	case leaving, arriving:
		return errMoving()
	}
	return nil
}

func errMoving() error {
	return &im.Error{Kind: im.Unavailable, RetryAfterMS: 300, Detail: "the user is moving to another region"}
}

func errMoved(to im.Home) error {
	return &im.Error{Kind: im.Moved, At: &im.Place{Home: to}, Detail: "the user lives in region " + string(to.Region)}
}

// handleMove answers the commands by which a user moves; ok: it was one.
func (u *user) handleMove(tx *Tx, cmd im.Command) (res im.Result, ok bool, err error) {
	switch c := cmd.(type) {
	case *im.Depart:
		res, err = u.depart(tx, c)
	case *im.Depose:
		err = u.depose(tx, c)
	case *im.Arrive:
		res, err = u.arrive(tx, c)
	case *im.ImportLog:
		res, err = u.importLog(tx, c)
	case *im.ImportRecords:
		res, err = u.importRecords(tx, c)
	case *im.Inhabit:
		res, err = u.inhabit(tx, c)
	default:
		return nil, false, nil
	}
	return res, true, err
}

// homeVersion is of the home that the user lives in.
func (u *user) homeVersion() uint64 {
	if u.residence == nil {
		return 0
	}
	return u.residence.home.Version
}

func (u *user) depart(tx *Tx, c *im.Depart) (im.Result, error) {
	to := im.Home{Region: c.To, Version: c.Version}
	switch r := u.residence; {
	case r != nil && r.state == gone:
		return nil, errMoved(r.home)
	case r != nil && r.state == leaving && r.home == to:
		return &im.Departure{Head: u.head}, nil
	case r != nil && r.state != here:
		return nil, im.Errorf(im.Conflict, "user %d is moving already, because of region %s", u.id, r.home.Region)
	case !u.exists:
		return nil, im.Errorf(im.NotFound, "there is no user %d", u.id)
	case c.Version <= u.homeVersion():
		return nil, im.Errorf(im.Stale, "user %d has moved since; ask again where they live", u.id)
	}
	if err := im.CheckRegion(c.To); err != nil {
		return nil, err
	}
	u.Snapshot(tx)
	u.residence = &residence{state: leaving, home: to}
	u.putResidence(tx)
	tx.Mark = SetMark
	for _, d := range u.devices {
		tx.Kicks = append(tx.Kicks, Kick{d.id, im.CloseUnavailable, "the user is moving to another region"})
	}
	u.due = tx.Now + departureMin
	return &im.Departure{Head: u.head}, nil
}

// How long to wait before a departure is asked to be carried on again, doubling.
const (
	departureMin = 5_000
	departureMax = 30_000
)

// askOn asks whoever carries users from region to region to go on with this one.
func (u *user) askOn(tx *Tx) {
	if u.due == 0 || tx.Now < u.due {
		return
	}
	r := u.residence
	r.asked = min(r.asked+1, 4)
	wait := min(departureMin<<r.asked, departureMax)
	u.due = tx.Now + im.Millis(wait) + im.Millis(tx.Jitter(int64(wait)/4))
	tx.send(&Message{To: im.HomeAddr(u.id), Body: HomeBody(BodyLeaving, r.home)})
}

// HomeBody is the body of a message that names a home.
func HomeBody(kind BodyKind, h im.Home) Body {
	return Body{Kind: kind, PairID: h.Version, Content: im.Content{Body: []byte(h.Region)}}
}

// Home is the one that a message of the kinds BodyLeaving and BodyMoved names.
func (b *Body) Home() im.Home {
	return im.Home{Region: im.Region(b.Content.Body), Version: b.PairID}
}

// receiveAbsent tells who sends link messages to a user who has gone where to, and
// of one who is to arrive where they live until then: perhaps they never come. One
// who leaves says nothing, and gets them again.
func (u *user) receiveAbsent(tx *Tx, m *Message) {
	r := u.residence
	if r.state == leaving || m.Body.Kind == BodyMoved {
		return
	}
	home := r.home
	if r.state == arriving {
		home.Version--
	}
	tx.send(&Message{To: m.From, Body: HomeBody(BodyMoved, home)})
}

func (u *user) depose(tx *Tx, c *im.Depose) error {
	r := u.residence
	switch {
	case r != nil && r.state == gone && r.home.Version == c.Version:
		return nil
	case r == nil || r.state != leaving || r.home.Version != c.Version:
		return im.Errorf(im.Conflict, "user %d is not leaving with version %d", u.id, c.Version)
	}
	tx.Delete = append(tx.Delete, u.keys()...)
	left := newUser(u.id)
	left.head = u.head
	left.residence = &residence{state: gone, home: r.home, next: u.head + 1}
	*u = *left
	u.putResidence(tx)
	tx.Mark = ClearMark
	return nil
}

// keys are those of all records but the residence.
func (u *user) keys() []string {
	keys := []string{headKey}
	for first := 0; first < len(u.order); first += pageSize {
		keys = append(keys, pageKey(first/pageSize))
	}
	for _, d := range u.devices {
		keys = append(keys, deviceKey(d.id))
	}
	for id := range u.early {
		keys = append(keys, earlyKey(id))
	}
	if u.wallet != nil {
		for _, p := range u.wallet.dealings {
			keys = append(keys, dealingKey(p.peer))
		}
	}
	slices.Sort(keys)
	return keys
}

// Residing is how far an entity lives in a store.
type Residing uint8

// An entity that a store knows of may live nowhere in it, be about to leave, or
// live there.
const (
	Nowhere Residing = iota
	Leaving
	Here
)

// ResidingOf is how far the entity with these records lives in their store.
func ResidingOf(recs []im.Record) Residing {
	if len(recs) == 0 {
		return Nowhere
	}
	i := slices.IndexFunc(recs, func(r im.Record) bool { return r.Key == residenceKey })
	if i < 0 {
		return Here
	}
	u := newUser(0)
	switch err := u.restoreResidence(recs[i].Value); {
	case err != nil || u.residence.state == here:
		return Here
	case u.residence.state == leaving:
		return Leaving
	}
	return Nowhere
}

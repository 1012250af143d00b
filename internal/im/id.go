package im

import (
	"cmp"
	"fmt"
)

// UserID names a user. 0 is nobody. Identifiers below FirstRegisteredUser are
// chosen by the operator (provisioning, imported data sets), those from there
// up are given out at registration; all stay below 2^53 so that every JSON
// reader can hold them.
type UserID uint64

// FirstRegisteredUser is the lowest identifier given out at registration.
const FirstRegisteredUser UserID = 1 << 32

// MaxUser is the highest identifier a user can have.
const MaxUser UserID = 1<<53 - 1

// DeviceID numbers the devices of one user, from 1.
type DeviceID uint32

// Seq is a position in a log, from 1; 0 is before the first entry.
type Seq uint64

// ClientSeq numbers the sends of one device, densely from 1.
type ClientSeq uint64

// LinkSeq numbers the messages of one link between entities, densely from 1.
type LinkSeq uint64

// Kind says what an entity is.
type Kind uint8

// The kinds of entities. Values are stored; never reuse one.
const (
	KindUser Kind = 1
	// KindName binds user names whose hash is the entity's ID.
	KindName Kind = 2
	// KindAllocator gives out user identifiers.
	KindAllocator Kind = 3
	// KindEnvelope holds what a user sent to friends until they open it.
	KindEnvelope Kind = 4
	// KindCampaign holds what a sponsor gives away.
	KindCampaign Kind = 5
	// KindPayment is one payment from outside to a wallet, or from a wallet
	// to outside.
	KindPayment Kind = 6
	// KindHome says in which region a user lives.
	KindHome Kind = 7
	// KindPosition is no entity of the mailbox: it counts the commits of a
	// slot, for the region's standby.
	KindPosition Kind = 15
)

func (k Kind) String() string {
	switch k {
	case KindUser:
		return "user"
	case KindName:
		return "name"
	case KindAllocator:
		return "allocator"
	case KindEnvelope:
		return "envelope"
	case KindCampaign:
		return "campaign"
	case KindPayment:
		return "payment"
	case KindHome:
		return "home"
	case KindPosition:
		return "position"
	}
	return fmt.Sprintf("kind%d", uint8(k))
}

// Addr names an entity.
type Addr struct {
	Kind Kind
	ID   uint64
}

// User is the address of a user's mailbox.
func User(id UserID) Addr { return Addr{Kind: KindUser, ID: uint64(id)} }

func (a Addr) String() string { return fmt.Sprintf("%s/%d", a.Kind, a.ID) }

// Compare orders addresses by kind and identifier.
func (a Addr) Compare(b Addr) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
}

// Slot is the unit of ownership: every entity lives in one, and one node owns
// a slot at a time.
type Slot uint16

// Slots is how many slots there are. It is part of the stored format.
const Slots = 4096

// Slot is where the entity lives. The function is part of the stored format.
func (a Addr) Slot() Slot {
	// The finalizer of SplitMix64: identifiers that differ in one bit land
	// in unrelated slots.
	x := a.ID + uint64(a.Kind)<<56
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return Slot(x % Slots)
}

// Epoch counts the acquisitions of a slot. A commit that carries an older
// epoch than the store's is refused.
type Epoch uint64

// SessionID names one connection of a device within the process that owns the
// connection. 0 is none.
type SessionID uint64

// Millis is a point in time in milliseconds since the Unix epoch.
type Millis int64

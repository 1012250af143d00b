package admit

import "github.com/skein-im/skein/internal/im"

// Class says what a request is for; the lower, the more important.
type Class uint32

// The classes of requests.
const (
	// Keep is what frees resources or belongs to deliveries that were made:
	// never shed.
	Keep Class = iota
	// Live is what connected devices do: sends, resuming sessions, opening
	// and winning envelopes.
	Live
	// Sends are those without a session.
	Sends
	// Login is what makes a device connected, and what completes a
	// registration that was begun.
	Login
	// Calls are contact steps, new registrations and the like.
	Calls
	// Reads are lists and history.
	Reads
	// Bulk is provisioning, and what tidies up.
	Bulk
	// Classes is how many there are.
	Classes
)

var classNames = [Classes]string{"keep", "live", "sends", "login", "calls", "reads", "bulk"}

func (c Class) String() string {
	if c < Classes {
		return classNames[c]
	}
	return "unknown"
}

// userClasses is how many classes of users there are within each Class.
const userClasses = 128

// levels is how many levels there are.
const levels = int(Classes) * userClasses

// ClassOf is the class of a command.
func ClassOf(cmd im.Command) Class {
	switch c := cmd.(type) {
	case *im.AckDelivered, *im.Detach, *im.Redeliver, *im.RenewSets, *im.ReturnLeases:
		return Keep
	case *im.Claim, *im.Open:
		return Live
	case *im.Send:
		if c.Session != 0 {
			return Live
		}
		return Sends
	case *im.SendNumbered, *im.CreateEnvelope:
		return Sends
	case *im.Attach:
		if c.Resume != nil {
			return Live
		}
		return Login
	case *im.Authenticate, *im.LookupName, *im.CreateDevice, *im.BindName, *im.CreateUser:
		return Login
	case *im.ListDevices, *im.ListContacts, *im.GetWallet, *im.GetEnvelope, *im.GetCampaign, *im.GetPayment:
		return Reads
	case *im.Provision, *im.Tidy:
		return Bulk
	}
	return Calls
}

// Hour is the hour of a time, for LevelOf and Priority.
func Hour(now im.Millis) int64 { return int64(now) / 3_600_000 }

// Priority is the level of a user's command.
func Priority(cmd im.Command, user im.UserID, hour int64) im.Level {
	return LevelOf(ClassOf(cmd), user, hour)
}

// LevelOf is the level of what a user asks for.
func LevelOf(class Class, user im.UserID, hour int64) im.Level {
	return im.Level(uint32(class)*userClasses + userClass(user, hour))
}

// classKey makes the hash of users one of this program's own. Every process
// must rank alike, or callers would hold back others than the mailbox would;
// it is no secret, since users cannot choose their identifiers.
const classKey = 0x5ce19a6e5f3d8b21

// userClass spreads users over classes, anew every hour.
func userClass(user im.UserID, hour int64) uint32 {
	return uint32(mix(mix(uint64(user)^classKey)+uint64(hour)) % userClasses)
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// classOfLevel is the class of a level; levels beyond the last are Bulk.
func classOfLevel(l im.Level) Class { return min(Class(l/userClasses), Classes-1) }

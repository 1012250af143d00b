package im

// Limits that are part of the protocol. docs/PROTOCOL.md lists them.
const (
	// MaxBody is the most bytes a message's content may have.
	MaxBody = 64 << 10
	// MaxClientFrame is the most bytes a frame from a client may carry.
	MaxClientFrame = 128 << 10
	// MaxServerFrame is the most bytes a frame to a client may carry.
	MaxServerFrame = 1 << 20
	// SendWindow is how many sends of a device may be unanswered.
	SendWindow = 256
	// AnswerWindow is for how many of a device's last sends a repeat gets
	// the first answer; older repeats are refused as Stale. At least
	// SendWindow.
	AnswerWindow = 256
	// LinkWindow is how many messages from one entity to another may be
	// unacknowledged before further ones are refused as Busy.
	LinkWindow = 1024
	// EarlyWindow is how far ahead of the next article send id a send may
	// arrive and wait.
	EarlyWindow = 256
	// MaxNote is the most bytes a contact request's note may have.
	MaxNote = 256
	// MaxContacts is how many other users a user may have dealings with.
	MaxContacts = 10000
	// MaxDevices is how many devices of a user may be logged in.
	MaxDevices = 64
	// MaxDeviceName is the most bytes a device's name may have.
	MaxDeviceName = 64
	// MaxSyncEntries and MaxHistoryEntries bound one page.
	MaxSyncEntries    = 1000
	MaxHistoryEntries = 200
)

// ContentType says how clients read a message's body.
type ContentType uint8

// Content types equal skein.v1.ContentType.
const (
	ContentText   ContentType = 1
	ContentCustom ContentType = 2
)

// CloseCode says why a link was closed and whether to come back; values equal
// skein.v1.CloseCode. Below 200: reconnect. From 200: do not.
type CloseCode uint16

// Close codes; skein.v1.CloseCode documents each.
const (
	CloseNormal          CloseCode = 100
	CloseGoingAway       CloseCode = 101
	CloseIdle            CloseCode = 102
	CloseSlow            CloseCode = 103
	CloseInternal        CloseCode = 104
	CloseOverloaded      CloseCode = 105
	CloseUnavailable     CloseCode = 106
	CloseMoved           CloseCode = 107
	CloseUnauthenticated CloseCode = 200
	CloseRevoked         CloseCode = 201
	CloseReplaced        CloseCode = 202
	CloseProtocol        CloseCode = 203
	CloseTooLarge        CloseCode = 204
	CloseVersion         CloseCode = 205
)

// Reconnect reports whether a client should connect again by itself.
func (c CloseCode) Reconnect() bool { return c < 200 }

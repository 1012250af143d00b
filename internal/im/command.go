package im

// Command is a request to one entity. Commands are plain data, so that they
// can cross a process boundary; the volatile ends of a session travel beside
// them, in Attach.
type Command interface{ command() }

// Result answers a Command.
type Result any

// Content is what a user wrote.
type Content struct {
	Type ContentType
	Body []byte
}

// Send asks a user's mailbox to accept one message from a device.
// Result: *Sent.
type Send struct {
	To     UserID
	Device DeviceID
	// Taken is when the gateway took it, by a clock of its own; it does not
	// leave the process.
	Taken   uint32
	Session SessionID
	// ClientSeq is dense per device; 0 lets the mailbox choose.
	ClientSeq ClientSeq
	Content   Content
	// Trace is nil unless the message is traced.
	Trace *Trace
}

// Sent is the answer to Send and SendNumbered; repeating the command gives
// the same one.
type Sent struct {
	Seq       Seq
	ClientSeq ClientSeq
	PairID    uint64
	Time      Millis
	// InTimeline: the session that sent it has thereby seen entry Seq, and
	// will not get it delivered.
	InTimeline bool
}

// SendNumbered is the article's send: numbered by the user's own send_id
// instead of a device's client_seq. One that arrives early is kept until its
// predecessors have come. Result: *Sent; Seq is 0 for an early one and for a
// repeated one.
type SendNumbered struct {
	To      UserID
	SendID  uint64
	Content Content
}

// Attach starts delivery to a session after a device has shown its token.
// Result: *Attached. Deliveries follow the result, in order.
type Attach struct {
	Device    DeviceID
	TokenHash [32]byte
	// Cursor is the last entry the device has, which it thereby
	// acknowledges; nil continues from the mailbox's own cursor for the
	// device.
	Cursor  *Seq
	Session SessionID
	// Poll marks a long poll: it is not the device's link, so it neither
	// replaces one nor is replaced.
	Poll bool
	// Login is when the device logged in, by the gateway's clock; it stays
	// the same through resumptions.
	Login Millis
	// Generation is that of what the device has up to Cursor, or Resume.After;
	// nil: the device does not know.
	Generation *Generation
	// Resume, when set, makes the session continue an earlier one that its
	// mailbox has lost; Cursor is not heeded. A device that has logged in
	// elsewhere since keeps its newer session: Conflict.
	Resume *Resume
	// Sink receives the deliveries. It must not block.
	Sink Sink
}

// Generation names the time of a region's store from when a copy of it that may
// lack its end took its place, until that happens again; 0: the time before the
// first.
type Generation uint64

// Resume says where the new session of a connection continues.
type Resume struct {
	// Session is the one it continues, which ends without a Kick if the
	// mailbox still has it.
	Session SessionID
	// After is the last entry handed to the connection. The device need
	// not have acknowledged it.
	After Seq
}

// Attached answers Attach.
type Attached struct {
	Name string
	Head Seq
	// Cursor is after which entry deliveries begin: what was asked for, or Kept
	// if that is less.
	Cursor    Seq
	ClientSeq ClientSeq
	// Generation is the timeline's. If Attach named another one, Kept is up to
	// where the timeline is what it was in that.
	Generation Generation
	Kept       *Seq
}

// Sink is the gateway's end of a session, called in order by the mailbox.
// Implementations return at once; a session that cannot take more closes
// itself and says so with Detach.
type Sink interface {
	// Deliver hands over log-dense entries first..last, each an encoded
	// skein.v1.Entry; or a single one that says that first..last are gone. The
	// slices must not be changed, and may be kept.
	Deliver(first, last Seq, entries [][]byte)
	// Kick ends the session. With CloseUnavailable the mailbox has lost it,
	// and an Attach with Resume continues it.
	Kick(code CloseCode, reason string)
}

// Detach ends a session. Result: nil.
type Detach struct{ Session SessionID }

// AckDelivered moves a device's cursor. Result: nil.
type AckDelivered struct {
	Device  DeviceID
	Session SessionID
	Seq     Seq
}

// Redeliver starts delivery to a session again after Seq. Result: nil.
type Redeliver struct {
	Session SessionID
	Seq     Seq
}

// Authenticate checks a device's token. Result: *Attached.
type Authenticate struct {
	Device    DeviceID
	TokenHash [32]byte
	// Generation, if not nil, asks for Attached.Kept: how much the timeline has in
	// common with that one.
	Generation *Generation
}

// CreateUser makes the mailbox's user exist. Repeating it with the same name
// is harmless. Result: nil.
type CreateUser struct{ Name string }

// CreateDevice adds a device. Result: *DeviceCreated.
type CreateDevice struct {
	Name      string
	TokenHash [32]byte
}

// DeviceCreated answers CreateDevice.
type DeviceCreated struct{ Device DeviceID }

// RevokeDevice makes a device's token useless and ends its sessions.
// Result: nil.
type RevokeDevice struct{ Device DeviceID }

// ListDevices asks for the devices that may log in. Result: []DeviceInfo.
type ListDevices struct{}

// DeviceInfo describes one device.
type DeviceInfo struct {
	Device  DeviceID
	Name    string
	Created Millis
	Cursor  Seq
	Online  bool
}

// ContactOp is a step between two users.
type ContactOp uint8

// Contact steps.
const (
	ContactRequest ContactOp = iota + 1
	ContactAccept
	ContactRefuse
	ContactRemove
	ContactBlock
	ContactUnblock
)

// Contact asks for a step towards another user. Repeating a step whose
// outcome already holds is harmless. Result: *ContactInfo.
type Contact struct {
	Op   ContactOp
	Peer UserID
	Note string
}

// ContactState says where two users stand, as one of them sees it; values
// equal skein.v1.ContactState.
type ContactState uint8

// Contact states.
const (
	Strangers ContactState = iota
	Requested
	Incoming
	Friends
)

// ListContacts asks for everyone the user has dealings with. Result:
// []ContactInfo, by user id.
type ListContacts struct{}

// ContactInfo describes one contact.
type ContactInfo struct {
	Peer    UserID
	State   ContactState
	Blocked bool
	Note    string
	// LastSeq is the last entry of the conversation; 0: none.
	LastSeq Seq
}

// Counters asks for the user's counters; Device selects ClientSeq. Result:
// *CountersInfo. Every value is durable: none ever goes back.
type Counters struct{ Device DeviceID }

// CountersInfo are the counters of the article, and the timeline's head.
type CountersInfo struct {
	SendID       uint64
	SendAckID    uint64
	RecvID       uint64
	ClientRecvID uint64
	Head         Seq
	ClientSeq    ClientSeq
	// Friends, ascending.
	Friends []UserID
}

// Provision makes the user exist with friends and devices, without asking the
// friends; the caller provisions both sides. Repeating it is harmless.
// Result: nil.
type Provision struct {
	Friends     []UserID
	TokenHashes [][32]byte
}

// BindName binds a name to a user unless it is taken. Sent to NameAddr.
// Result: *NameInfo: the binding that holds now, new or old.
type BindName struct {
	Name         string
	User         UserID
	PasswordHash string
}

// LookupName asks who has a name. Sent to NameAddr. Result: *NameInfo.
type LookupName struct{ Name string }

// NameInfo is a name's binding.
type NameInfo struct {
	Name         string
	User         UserID
	PasswordHash string
}

// AllocateUsers takes a block of identifiers nobody else gets. Sent to
// AllocatorAddr. Result: *Allocated.
type AllocateUsers struct{ Count uint32 }

// Allocated is the block First, First+1, ..., First+Count-1.
type Allocated struct {
	First UserID
	Count uint32
}

// AllocatorAddr is the entity that gives out user identifiers.
var AllocatorAddr = Addr{Kind: KindAllocator, ID: 0}

// SessionOf is the session that a command is about, or 0.
func SessionOf(cmd Command) SessionID {
	switch cmd := cmd.(type) {
	case *Send:
		return cmd.Session
	case *AckDelivered:
		return cmd.Session
	case *Attach:
		return cmd.Session
	case *Detach:
		return cmd.Session
	case *Redeliver:
		return cmd.Session
	}
	return 0
}

// Tidy lets go of what a user's mailbox need not keep any longer. It is for
// users who do nothing: with those who do, it happens by the way. Result: nil.
type Tidy struct{}

// Repeatable reports whether a command may be submitted again when its fate is
// unknown. A Send is when it has a ClientSeq; those about a session are the
// business of who owns the session.
func Repeatable(cmd Command) bool {
	switch cmd := cmd.(type) {
	case *Send:
		return cmd.ClientSeq != 0
	case *Attach, *Detach, *AckDelivered, *Redeliver:
		return false
	}
	return true
}

func (*Send) command()          {}
func (*SendNumbered) command()  {}
func (*Attach) command()        {}
func (*Detach) command()        {}
func (*AckDelivered) command()  {}
func (*Redeliver) command()     {}
func (*Authenticate) command()  {}
func (*CreateUser) command()    {}
func (*CreateDevice) command()  {}
func (*RevokeDevice) command()  {}
func (*ListDevices) command()   {}
func (*Contact) command()       {}
func (*ListContacts) command()  {}
func (*Counters) command()      {}
func (*Provision) command()     {}
func (*BindName) command()      {}
func (*LookupName) command()    {}
func (*AllocateUsers) command() {}
func (*Tidy) command()          {}

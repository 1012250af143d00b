package sim

// Defect is a deliberate mistake. The simulator must find each: that is what
// shows that its invariants and faults are worth something.
type Defect uint8

// Defects.
const (
	// None is the system as it is.
	None Defect = iota
	// NoDedup: the receiver of a link takes repeated messages again.
	NoDedup
	// AckEarly: a link message is acknowledged before the commit.
	AckEarly
	// ReplyEarly: a send is answered before the commit.
	ReplyEarly
	// NoFencing: the store takes commits of any epoch.
	NoFencing
	// OutboxForgotten: after a restart nothing is sent again.
	OutboxForgotten
	// SkipOne: the receiver of a link takes the message after a lost one.
	SkipOne
	// GivesUp: retransmission stops after three rounds.
	GivesUp
	// ForgetsSends: after a restart a repeated client_seq is taken again.
	ForgetsSends
	// ShowsEarly: entries are delivered before they are durable.
	ShowsEarly
	// CursorAhead: the cursor moves when an entry is handed over, not when
	// the device has it.
	CursorAhead
	// ReadsUnconfirmed: reads are answered without asking the store whether
	// the slot is still owned.
	ReadsUnconfirmed
	// ResumesBehind: a session is resumed before the last entry handed to its
	// connection.
	ResumesBehind
	// ResumesAhead: it is resumed after the next one.
	ResumesAhead
	// RepeatsReversed: the sends that waited for a resumption are submitted
	// in the wrong order.
	RepeatsReversed
	// ForgetsRepeats: the first of them is not submitted.
	ForgetsRepeats
	// OldDeliveries: what a session's mailbox says after it was lost reaches
	// the connection.
	OldDeliveries
	// LoginIgnored: a resumption replaces the newer session of its device.
	LoginIgnored
	// StaysAttached: sessions that leave are not detached.
	StaysAttached
	// ReturnedLeaseHonoured: a campaign takes a claim of a lease whose envelope
	// it has dealt again.
	ReturnedLeaseHonoured
	// CreditRepeated: a wallet takes money again that is sent again.
	CreditRepeated
	// RefundRaces: an envelope that expires returns what was opened just
	// before, too.
	RefundRaces
	// Overdraft: a wallet does not heed what it has just spent.
	Overdraft
	// SumOff: the shares of an envelope are a cent off after a reload.
	SumOff
	// AlarmForgotten: an envelope out of memory misses its end.
	AlarmForgotten
	// WonEarly: a gateway says "won" before the claim is durable.
	WonEarly
	// LeaseKept: a desk claims with a lease after it has expired.
	LeaseKept
	// ClaimedTwice: a desk claims a lease for somebody else when the fate of a
	// claim is unknown.
	ClaimedTwice
	// LimitEarly: a campaign says of every win that it was the user's last one.
	LimitEarly
	// TraceLost: a message that is sent again is not traced any more.
	TraceLost
	// TrimsOwed: entries go whose link messages have not arrived.
	TrimsOwed
	// TrimsUnseen: entries go that a device lacks.
	TrimsUnseen
	// GoneUnsaid: a device is not told that entries are gone.
	GoneUnsaid
	// RepeatForgotten: the routing of a gateway forgets the commands that wait to
	// be submitted to another node.
	RepeatForgotten
	// LeavesSilently: a node that hands slots over does not tell the sessions.
	LeavesSilently
	// PolicyForgotten: slots are placed without regard to the policy.
	PolicyForgotten
	// TakenByForce: a node does not wait for another one to hand over slots.
	TakenByForce
	// WaitsForEver: it goes on waiting for one that hands nothing over.
	WaitsForEver
	// LeftEarly: a node says that it has handed over a slot before it has.
	LeftEarly
	// OwnerGuessed: an answer names who is to serve the slot, not who does.
	OwnerGuessed
	defects
)

var defectNames = [defects]string{
	"none", "no dedup at the link receiver", "link ack before commit", "reply before commit", "no fencing",
	"outbox dropped at restart", "off by one in the sequence check", "retransmission stopped early",
	"client_seq forgotten after reload", "delivery before durability", "cursor beyond delivery", "unconfirmed reads",
	"resumes before what was shown", "resumes after what was shown", "repeats sends in reverse", "forgets to repeat a send",
	"deliveries of a lost session", "resumption replaces a newer login", "sessions are not detached",
	"claim of a returned lease honoured", "credit repeated on retransmission", "refund racing with an open",
	"overdraft by concurrent creates", "shares off by a cent after a reload", "end missed out of memory", "won before the claim",
	"lease kept after it expired", "lease claimed for two users", "limit told too early", "trace lost by retransmission",
	"entries gone before they arrived", "entries gone that a device lacks", "gone entries not told of",
	"routing forgets to ask another node", "sessions are not told of a hand-over",
	"placed without the policy",
	"slots taken by force", "waits for ever for a hand-over", "hand-over told too early", "owner guessed",
}

func (d Defect) String() string { return defectNames[d] }

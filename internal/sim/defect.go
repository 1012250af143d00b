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
	defects
)

var defectNames = [defects]string{
	"none", "no dedup at the link receiver", "link ack before commit", "reply before commit", "no fencing",
	"outbox dropped at restart", "off by one in the sequence check", "retransmission stopped early",
	"client_seq forgotten after reload", "delivery before durability", "cursor beyond delivery", "unconfirmed reads",
}

func (d Defect) String() string { return defectNames[d] }

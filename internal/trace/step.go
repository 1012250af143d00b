package trace

import (
	"strconv"
	"strings"

	"github.com/skein-im/skein/internal/im"
)

// Step says what a span is of.
type Step uint8

// The steps of a message, in the order of its way. Values travel between
// processes as names.
const (
	// Send is the whole way at the sender's gateway: from its frame to the
	// SendAck. It is the root of a trace.
	Send Step = iota + 1
	// Receive is from the frame until the command is handed to the mailbox.
	Receive
	// Hold is how long a send whose mailbox was lost waited to be submitted
	// again.
	Hold
	// Arrive is from the gateway into the mailbox's queue: the role link, if
	// they are two processes.
	Arrive
	// Queue is the wait for the sender's entity, which may have to be loaded.
	Queue
	// Apply is the entity's own work.
	Apply
	// Batch is the wait for the commit before.
	Batch
	// Commit is the store's work: the sync, or the round trip.
	Commit
	// Release is letting out the answer, the deliveries and the link message.
	Release
	// Answer is from the mailbox's answer until the SendAck is written.
	Answer
	// Forward is from the sender's mailbox into the queue of the receiver's.
	Forward
	// Relay is the time in a relay between regions.
	Relay
	// ReceiverQueue to ReceiverRelease are at the receiver what their
	// namesakes are at the sender.
	ReceiverQueue
	ReceiverApply
	ReceiverBatch
	ReceiverCommit
	ReceiverRelease
	// Deliver is writing an entry to one device's connection.
	Deliver
	// ClientAck is from there until the device has acknowledged it.
	ClientAck
	// AckForward is the way of the link's ack back to the sender's mailbox.
	AckForward
	AckQueue
	AckApply
	steps
)

var stepNames = [steps]string{
	"", "send", "gateway.receive", "gateway.hold", "mailbox.arrive", "mailbox.queue", "mailbox.apply", "mailbox.batch",
	"mailbox.commit", "mailbox.release", "gateway.answer", "link.forward", "relay.forward", "receiver.queue", "receiver.apply",
	"receiver.batch", "receiver.commit", "receiver.release", "gateway.deliver", "client.ack", "ack.forward", "ack.queue", "ack.apply",
}

func (s Step) String() string {
	if s == 0 || s >= steps {
		return "unknown"
	}
	return stepNames[s]
}

// MarshalText implements encoding.TextMarshaler.
func (s Step) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A name that a newer
// version has added becomes 0.
func (s *Step) UnmarshalText(text []byte) error {
	*s = 0
	for i := Send; i < steps; i++ {
		if stepNames[i] == string(text) {
			*s = i
		}
	}
	return nil
}

// Hop are the steps of something at one entity. A step of 0 is not recorded.
type Hop struct{ Arrive, Queue, Apply, Batch, Commit, Release Step }

// The three times that a message comes to an entity.
var (
	AtSender   = Hop{Arrive, Queue, Apply, Batch, Commit, Release}
	AtReceiver = Hop{Forward, ReceiverQueue, ReceiverApply, ReceiverBatch, ReceiverCommit, ReceiverRelease}
	OfAck      = Hop{Arrive: AckForward, Queue: AckQueue, Apply: AckApply}
)

// Span is one step of one trace.
type Span struct {
	Trace im.TraceID `json:"trace"`
	// ID is unique within the trace; the root's follows from the trace.
	ID   uint64 `json:"id,string"`
	Step Step   `json:"step"`
	// Start and End are in nanoseconds since 1970.
	Start int64 `json:"start"`
	End   int64 `json:"end"`
	// Of is the entity in question: at a gateway, the user of the connection.
	Of Entity `json:"of"`
	// Seq is a place in a user's log, or on a link; 0: none.
	Seq uint64 `json:"seq,omitempty"`
	// Error is why the step failed; 0: it did not.
	Error im.ErrorKind `json:"error,omitempty"`
	// Node is the process that recorded it.
	Node string `json:"node"`
}

// Entity is an address that is written as text.
type Entity im.Addr

// MarshalText implements encoding.TextMarshaler.
func (e Entity) MarshalText() ([]byte, error) { return []byte(im.Addr(e).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A kind that a newer version
// has added becomes 0.
func (e *Entity) UnmarshalText(text []byte) error {
	kind, id, ok := strings.Cut(string(text), "/")
	n, err := strconv.ParseUint(id, 10, 64)
	if !ok || err != nil {
		return im.Errorf(im.Invalid, "%.32q is not an entity", text)
	}
	*e = Entity{ID: n}
	for k := im.KindUser; k <= im.KindPayment; k++ {
		if k.String() == kind {
			e.Kind = k
		}
	}
	return nil
}

func (e Entity) String() string { return im.Addr(e).String() }

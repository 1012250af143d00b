package entity

import (
	"fmt"

	"github.com/skein-im/skein/internal/im"
)

// Entity is one state machine. Calls must not overlap.
type Entity interface {
	// Restore takes the entity's records, by ascending key, and returns
	// the log sequence they include. Called once, first.
	Restore(recs []im.Record) (im.Seq, error)
	// Replay takes the log entries that follow, in order.
	Replay(e im.LogEntry) error
	// Start is called once, after the replay.
	Start(tx *Tx)
	// Handle applies a command. On error nothing has changed, unless the
	// error itself was made durable through tx.
	Handle(tx *Tx, cmd im.Command) (im.Result, error)
	// Receive takes a link message or ack.
	Receive(tx *Tx, m *Message)
	// Timer is called when the time Due returned has come.
	Timer(tx *Tx)
	// Hurry says that peers can be reached again: what they have not
	// acknowledged need not wait for its next turn. It returns how many of
	// them that is for.
	Hurry(tx *Tx, reachable func(peer im.Addr) bool) int
	// Resend gets the log entries that tx.Read asked for.
	Resend(tx *Tx, peer im.Addr, entries []im.LogEntry)
	// Snapshot writes what has changed since the last one as records.
	Snapshot(tx *Tx)
	// Status tells the runtime what the entity needs.
	Status() Status
}

// Status is what the runtime needs to know of an entity after each call.
type Status struct {
	// Head is the last log sequence, durable or not, and Trimmed the last one
	// that is no longer kept.
	Head, Trimmed im.Seq
	// Due is when Timer wants to be called; 0: not at all.
	Due im.Millis
	// Wake is when the entity must be in memory again even if it owes
	// nothing until then; 0: never.
	Wake im.Millis
	// Dirty: something would be forgotten without a snapshot, harmlessly.
	Dirty bool
	// Unsnapshotted is how many log entries the last snapshot lacks.
	Unsnapshotted int
	// Outstanding is how many link messages are unacknowledged; an entity
	// that has any must stay in memory to send them again.
	Outstanding int
}

// Exists reports whether there are entities of a kind.
func Exists(k im.Kind) bool {
	return k == im.KindUser || k == im.KindName || k == im.KindAllocator || k == im.KindHome || isPurse(k)
}

// SnapshotSeq is the last log entry that an entity's records include.
func SnapshotSeq(a im.Addr, recs []im.Record) (im.Seq, error) {
	e, err := New(a)
	if err != nil {
		return 0, err
	}
	return e.Restore(recs)
}

// New makes the empty entity of an address.
func New(a im.Addr) (Entity, error) {
	switch a.Kind {
	case im.KindUser:
		return newUser(im.UserID(a.ID)), nil
	case im.KindName:
		return &nameTable{names: map[string]nameBinding{}}, nil
	case im.KindAllocator:
		return &allocator{next: uint64(im.FirstRegisteredUser)}, nil
	case im.KindHome:
		return &home{}, nil
	case im.KindEnvelope:
		return newEnvelope(), nil
	case im.KindCampaign:
		return newCampaign(), nil
	case im.KindPayment:
		return newPayment(), nil
	}
	return nil, im.Errorf(im.Invalid, "there are no entities of %s", a.Kind)
}

// Tx collects what follows from calls on one entity.
type Tx struct {
	// Now is the time of the batch.
	Now im.Millis
	// Jitter returns a number in [0, n).
	Jitter func(n int64) int64
	// Durable is the last log sequence that is surely in the store.
	Durable im.Seq
	// Retain is how much of a user's log is kept.
	Retain Retention
	// Generation is the store's.
	Generation im.Generation
	// Self is the entity's own address.
	Self im.Addr
	// Trip is what a call says of how long an ack took, and Waited of how
	// long the oldest message that it sends again has been waiting for one;
	// 0: nothing.
	Trip, Waited im.Millis
	// Rewound is what a call says of messages that have met another generation.
	Rewound Rewound
	Effects
}

// Effects are the changes and messages of one or more calls on one entity, in
// order. Nothing of it may leave the process before the changes are durable.
type Effects struct {
	// First is the sequence of Append[0].
	First  im.Seq
	Append []Logged
	// Trim lets go of the log entries before it; 0: of none.
	Trim   im.Seq
	Put    []im.Record
	Delete []string
	// Mark changes the entity's pending mark: 0 keeps it, 1 sets and 2
	// clears it.
	Mark     Mark
	Messages []*Message
	Kicks    []Kick
	// Reads need no durability: they are requests to the runtime.
	Reads []Read
}

// Mark is a change to the pending mark in the store.
type Mark uint8

// Marks.
const (
	KeepMark Mark = iota
	SetMark
	ClearMark
)

// Logged is a log entry and the part of it that devices see.
type Logged struct {
	Value   []byte
	Visible []byte
}

// Kick ends the sessions of a device.
type Kick struct {
	Device im.DeviceID
	Code   im.CloseCode
	Reason string
}

// Read asks for log entries, to send them to Peer again.
type Read struct {
	Peer im.Addr
	Seqs []im.Seq
}

func (tx *Tx) appendLog(seq im.Seq, value, visible []byte) {
	if len(tx.Append) == 0 {
		tx.First = seq
	} else if want := tx.First + im.Seq(len(tx.Append)); seq != want {
		panic(fmt.Sprintf("entity %s: log entry %d where %d was due", tx.Self, seq, want))
	}
	tx.Append = append(tx.Append, Logged{value, visible})
}

func (tx *Tx) put(key string, value []byte) {
	tx.Put = append(tx.Put, im.Record{Key: key, Value: value})
}

func (tx *Tx) send(m *Message) {
	m.From = tx.Self
	tx.Messages = append(tx.Messages, m)
}

// ack acknowledges everything up to seq; the last ack of a batch stands for
// all of them, but for those of traced messages, which are followed one by one.
func (tx *Tx) ack(to im.Addr, seq im.LinkSeq, trace im.TraceID) {
	for i := len(tx.Messages) - 1; i >= 0 && i >= len(tx.Messages)-4; i-- {
		if m := tx.Messages[i]; m.Seq == 0 && m.To == to && (trace == 0 || m.Body.Trace == 0) {
			m.Ack = max(m.Ack, seq)
			m.Body.Trace |= trace
			return
		}
	}
	tx.send(&Message{To: to, Ack: seq, Body: Body{Trace: trace}})
}

// Changes reports whether there is anything to commit.
func (fx *Effects) Changes() bool {
	return len(fx.Append) > 0 || len(fx.Put) > 0 || len(fx.Delete) > 0 || fx.Mark != KeepMark || fx.Trim != 0
}

// Empty reports whether there is nothing to commit and nothing to release.
func (fx *Effects) Empty() bool {
	return !fx.Changes() && len(fx.Messages) == 0 && len(fx.Kicks) == 0
}

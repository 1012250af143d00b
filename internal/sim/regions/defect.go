package regions

import (
	"slices"
	"strings"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Defect is a deliberate mistake. The simulator must find each.
type Defect uint8

// Defects.
const (
	// None is the system as it is.
	None Defect = iota
	// NotFrozen: a user who departs goes on where they were.
	NotFrozen
	// LinksForgotten: contacts and links are not carried.
	LinksForgotten
	// MoveForgotten: a departure that was broken off is not gone on with.
	MoveForgotten
	// DeviceForgotten: devices are not carried, and so neither is which of their
	// sends were answered how.
	DeviceForgotten
	// WrongHome: after a move, others are told that the user still lives where
	// it was.
	WrongHome
	// TakenByTombstone: a region that a user has left acknowledges what comes for
	// it.
	TakenByTombstone
	// NoFencing: a node that has lost a slot goes on writing to it.
	NoFencing
	// MarksIgnored: a node that gets a slot does not look who owes something there.
	MarksIgnored
	// CarriedWrong: a message that arrives at one node goes to another than the one
	// that serves its entity.
	CarriedWrong
	// WordNotCarried: word of a move stays with the node that it comes to.
	WordNotCarried
	// RelayAcksEarly: a relay acknowledges messages that it has only taken.
	RelayAcksEarly
	// RelayAnswersEarly: it says that a user has arrived before the other region does.
	RelayAnswersEarly
	// RelayLooksOnce: it takes messages to the node that served their entities once.
	RelayLooksOnce
	defects
)

var defectNames = [defects]string{
	"none", "departure does not freeze", "links not carried", "move forgotten after a crash", "devices not carried", "told the old home", "taken where nobody lives",
	"no fencing", "marks ignored", "carried to the wrong node", "word of a move not carried on",
	"relay acknowledges too early", "relay answers too early", "relay does not look who serves",
}

func (d Defect) String() string { return defectNames[d] }

// isStep reports whether a command is a step of a move.
func isStep(cmd im.Command) bool {
	switch cmd.(type) {
	case *im.Depart, *im.Depose, *im.Arrive, *im.ImportLog, *im.ImportRecords, *im.Inhabit, *im.SetHome:
		return true
	}
	return false
}

// skips leaves a step out, if that is the defect.
func (w *world) skips(cmd im.Command, done im.Completion) bool {
	_, departs := cmd.(*im.Depart)
	_, deposes := cmd.(*im.Depose)
	if w.opts.Defect != NotFrozen || !departs && !deposes {
		return false
	}
	w.after(0, func() { done.Complete(cmd, &im.Departure{}, nil) })
	return true
}

// twist changes a command to another region, if that is the defect.
func (w *world) twist(from *site, cmd im.Command) im.Command {
	if set, ok := cmd.(*im.SetHome); ok && w.opts.Defect == WrongHome && set.Home.Version > 1 {
		return &im.SetHome{Home: im.Home{Region: from.name, Version: set.Home.Version}}
	}
	return cmd
}

// falseAck is what a region that a user has left says to the sender of a message,
// if that is the defect; else m.
func (w *world) falseAck(m *entity.Message) *entity.Message {
	if w.opts.Defect != TakenByTombstone || m.Body.Kind != entity.BodyMoved {
		return m
	}
	return &entity.Message{From: m.From, To: m.To, Ack: w.lastSeq[[2]im.Addr{m.To, m.From}]}
}

// spoil takes away records that are to be carried, if that is the defect.
func (w *world) spoil(records []im.Record) []im.Record {
	lose := map[Defect]string{LinksForgotten: "p", DeviceForgotten: "d"}[w.opts.Defect]
	if lose == "" {
		return records
	}
	return slices.DeleteFunc(records, func(r im.Record) bool { return strings.HasPrefix(r.Key, lose) })
}

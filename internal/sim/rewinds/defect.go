package rewinds

import (
	"fmt"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Defect is a deliberate mistake. The simulator must find each.
type Defect uint8

// Defects.
const (
	// None is the system as it is.
	None Defect = iota
	// GenerationsIgnored: nobody looks at generations.
	GenerationsIgnored
	// BaseIgnored: a receiver notes a generation, and goes on counting where it was.
	BaseIgnored
	// AcksUndated: acks do not say of which generation they are.
	AcksUndated
	// LateLivesHeard: a receiver believes whoever speaks of another generation, also
	// when it comes late from one that is lost.
	LateLivesHeard
	// Ungreeted: who comes back does not tell those who have nothing to say.
	Ungreeted
	// FloorForgotten: a sender does not say what is not to be waited for.
	FloorForgotten
	defects
)

var defectNames = [defects]string{"none", "generations ignored", "base ignored", "acks undated", "late lives heard", "ungreeted", "floor forgotten"}

func (d Defect) String() string { return defectNames[d] }

// twist changes a link message on its way, if that is the defect.
func (w *world) twist(m *entity.Message) *entity.Message {
	one := *m
	w.noted[[2]im.Addr{m.From, m.To}] = 0
	if m.Lineage == nil {
		return &one
	}
	s := *m.Lineage
	w.noted[[2]im.Addr{m.From, m.To}] = s.Noted
	one.Lineage = &s
	switch w.opts.Defect {
	case GenerationsIgnored:
		one.Lineage = nil
	case BaseIgnored:
		s.Base = 1 << 62
	case FloorForgotten:
		s.Floor = 0
	case AcksUndated:
		if m.Seq == 0 {
			one.Lineage = nil
		}
	}
	return &one
}

// arrives changes it when it arrives.
func (w *world) arrives(m *entity.Message) {
	if w.opts.Defect == LateLivesHeard && m.Lineage != nil {
		m.Lineage.Known = w.noted[[2]im.Addr{m.To, m.From}]
	}
}

// spoken is what the trace says of a link message.
func spoken(m *entity.Message) string {
	if m.Lineage == nil {
		return fmt.Sprintf("seq %d ack %d %s", m.Seq, m.Ack, m.Body.Content.Body)
	}
	return fmt.Sprintf("seq %d ack %d %s %+v", m.Seq, m.Ack, m.Body.Content.Body, *m.Lineage)
}

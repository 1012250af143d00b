package rewinds

import (
	"slices"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// check looks at everything in the end.
func (w *world) check() {
	for _, p := range w.people {
		p.checkAnswers()
	}
	missing := 0
	for _, from := range w.people {
		for _, to := range w.people {
			if from != to {
				missing += w.checkTalk(from, to)
			}
		}
	}
	var counted entity.Rewound
	for _, p := range w.parts {
		if n := p.proc.core.Stats.Owed; n != 0 {
			w.failf("%s still owes %d messages", p.name(), n)
		}
		p.kill()
		counted.Add(&p.rewound)
	}
	if uint64(missing) > counted.Gone || uint64(w.report.Orphans) > counted.Unsaid {
		w.failf("%d messages are missing and %d are not known to their senders; counted is %+v", missing, w.report.Orphans, counted)
	}
	w.report.Missing, w.report.Again = missing, int(counted.Again)
}

// entries are all that the user's timeline has ever had, but for what was lost, and
// the last one that is no longer kept.
func (p *person) entries() (list []wire.Entry, trimmed im.Seq) {
	for _, changes := range p.home.commits[im.User(p.id).Slot()] {
		for _, c := range changes {
			if c.Addr != im.User(p.id) {
				continue
			}
			trimmed = max(trimmed, max(c.Trim, 1)-1)
			for i, value := range c.Append {
				list = append(list, p.entry(c.First+im.Seq(i), value))
			}
		}
	}
	for i, e := range list {
		if e.Seq != im.Seq(i+1) {
			p.w.failf("the log of user %d has entry %d at %d", p.id, e.Seq, i+1)
		}
	}
	return list, trimmed
}

func (p *person) entry(seq im.Seq, value []byte) (e wire.Entry) {
	visible, err := entity.Visible(im.LogEntry{Seq: seq, Value: value})
	if err == nil {
		err = e.Unmarshal(visible)
	}
	if err != nil {
		p.w.failf("%v", err)
	}
	return e
}

// said is a message in a timeline.
type said struct {
	body string
	// kept: the log still has it.
	kept bool
}

// talk is what the timeline has had of the messages in one direction.
func (p *person) talk(with im.UserID, outgoing bool) (list []said) {
	entries, trimmed := p.entries()
	for _, e := range entries {
		if e.Kind == wire.EntryMessage && e.Outgoing == outgoing && e.Peer == with {
			list = append(list, said{string(e.Content.Body), e.Seq > trimmed})
		}
	}
	return list
}

// checkAnswers holds what was acknowledged, and not lost since, against the log.
func (p *person) checkAnswers() {
	entries, _ := p.entries()
	for body, seq := range p.answers {
		if int(seq) > len(entries) || string(entries[seq-1].Content.Body) != body {
			p.w.failf("user %d was told that %s is entry %d; it is not", p.id, body, seq)
		}
	}
}

// checkTalk looks at what one user has sent to another: whatever the sender's log
// has must have arrived, once and in order; and of what else has arrived, the
// sender must have lost the memory. It counts what is missing because the sender's
// log had let go of it.
func (w *world) checkTalk(from, to *person) (missing int) {
	sent, got := from.talk(to.id, true), to.talk(from.id, false)
	next, seen := 0, map[string]bool{}
	for _, g := range got {
		if seen[g.body] {
			w.failf("user %d got %s of user %d twice: %v", to.id, g.body, from.id, got)
		}
		seen[g.body] = true
		at := slices.IndexFunc(sent, func(s said) bool { return s.body == g.body })
		switch {
		case at < 0 && !w.unsaid[g.body]:
			w.failf("user %d got %s, which user %d has neither sent nor forgotten", to.id, g.body, from.id)
		case at < 0:
			w.report.Orphans++
		case at < next:
			w.failf("user %d got %s of user %d out of order: %v of %v", to.id, g.body, from.id, got, sent)
		default:
			missing += w.checkMissing(from, to, sent[next:at])
			next = at + 1
		}
	}
	return missing + w.checkMissing(from, to, sent[next:])
}

// checkMissing looks at messages that have not arrived before what follows them.
func (w *world) checkMissing(from, to *person, list []said) int {
	for _, s := range list {
		if s.kept {
			w.failf("user %d never got %s of user %d, who still has it", to.id, s.body, from.id)
		}
	}
	return len(list)
}

package entity

import (
	"slices"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// envelope is what a user sent to friends. How it is split is drawn when the
// money arrives, and part of that event: who opens next gets the next share.
type envelope struct {
	purse
	// terms is nil before the money has come.
	terms    *storev1.EnvelopeTerms
	split    []int64
	openings []*storev1.EnvelopeShare
	// receivers are those of terms; an opening is there for those who have
	// opened.
	receivers map[im.UserID]*storev1.EnvelopeShare
	// left is what nobody has opened.
	left im.Cents
}

func newEnvelope() *envelope {
	e := &envelope{receivers: map[im.UserID]*storev1.EnvelopeShare{}}
	e.purse = newPurse(e)
	return e
}

// Handle implements Entity.
func (e *envelope) Handle(tx *Tx, cmd im.Command) (im.Result, error) {
	switch c := cmd.(type) {
	case *im.Open:
		return e.open(tx, c)
	case *im.GetEnvelope:
		return e.info(c)
	}
	return nil, im.Errorf(im.Unimplemented, "an envelope does not understand %T", cmd)
}

// open gives a receiver a share. It needs one commit, which all who open in
// the meantime share.
func (e *envelope) open(tx *Tx, c *im.Open) (im.Result, error) {
	if e.terms == nil {
		return nil, errNoEnvelope()
	}
	share, ok := e.receivers[c.User]
	switch {
	case !ok:
		return nil, im.Errorf(im.PermissionDenied, "this envelope is for others")
	case share != nil:
		return e.opened(share), nil
	case e.held(c.User, im.UserID(e.terms.Sender)) != nil:
		return nil, errStopped()
	case len(e.openings) == len(e.split):
		return nil, im.Errorf(im.AllGone, "others were faster: all shares are gone")
	case e.finished != nil || im.Millis(e.terms.ExpiresMs) <= tx.Now:
		return nil, im.Errorf(im.Expired, "the envelope has expired")
	}
	n := len(e.openings)
	share = &storev1.EnvelopeShare{User: uint64(c.User), Cents: e.split[n], TimeMs: int64(tx.Now)}
	ev := &storev1.PurseEvent{EnvelopeOpened: share, Outs: []*storev1.LinkOut{
		credit(c.User, &storev1.Transfer{Event: moneyEvent(im.EnvelopeOpened), Cents: share.Cents, User: e.terms.Sender, UntilMs: e.terms.ExpiresMs})}}
	if n+1 == len(e.split) {
		e.finish(ev, 0)
	}
	e.record(tx, ev)
	return e.opened(share), nil
}

func errNoEnvelope() error { return im.Errorf(im.NotFound, "there is no such envelope") }

func (e *envelope) opened(s *storev1.EnvelopeShare) *im.Opened {
	return &im.Opened{Sender: im.UserID(e.terms.Sender), Cents: im.Cents(s.Cents), Time: im.Millis(s.TimeMs)}
}

func (e *envelope) info(c *im.GetEnvelope) (im.Result, error) {
	if e.terms == nil {
		return nil, errNoEnvelope()
	}
	if _, ok := e.receivers[c.User]; !ok && uint64(c.User) != e.terms.Sender {
		return nil, im.Errorf(im.PermissionDenied, "this envelope is for others")
	}
	t := e.terms
	info := &im.EnvelopeInfo{Sender: im.UserID(t.Sender), Total: im.Cents(t.Total), Shares: t.Shares, Rule: im.SplitRule(t.Rule), Text: t.Text,
		Created: im.Millis(t.CreatedMs), Expires: im.Millis(t.ExpiresMs), Finished: e.finished != nil, Returned: im.Cents(e.finished.GetReturned())}
	for _, id := range t.Receivers {
		info.To = append(info.To, im.UserID(id))
	}
	for _, s := range e.openings {
		info.Openings = append(info.Openings, im.Opening{User: im.UserID(s.User), Cents: im.Cents(s.Cents), Time: im.Millis(s.TimeMs)})
	}
	return info, nil
}

// fund implements content.
func (e *envelope) fund(tx *Tx, from im.UserID, t *storev1.Transfer) *storev1.PurseEvent {
	terms := t.Envelope
	if e.terms != nil || terms == nil || terms.Sender != uint64(from) || terms.Total != t.Cents ||
		terms.Shares == 0 || terms.Shares > im.MaxShares || terms.Total < int64(terms.Shares) {
		return nil
	}
	shares := split(im.Cents(terms.Total), int(terms.Shares), im.SplitRule(terms.Rule), tx.Jitter)
	ev := &storev1.PurseEvent{EnvelopeFunded: &storev1.EnvelopeFunded{Terms: terms, Split: cents(shares)}}
	for _, id := range terms.Receivers {
		ev.Outs = append(ev.Outs, &storev1.LinkOut{To: storedAddr(im.User(im.UserID(id)))})
	}
	return ev
}

// notice implements content.
func (e *envelope) notice() *storev1.Transfer {
	t := e.terms
	return &storev1.Transfer{Event: moneyEvent(im.EnvelopeReceived), User: t.Sender, Text: t.Text, UntilMs: t.ExpiresMs,
		Envelope: &storev1.EnvelopeTerms{Total: t.Total, Shares: t.Shares, Rule: t.Rule}}
}

// end implements content: what nobody has opened goes back.
func (e *envelope) end(*Tx) *storev1.PurseEvent {
	ev := &storev1.PurseEvent{}
	e.finish(ev, e.left)
	return ev
}

// finish adds to an event that nothing is left, and tells the sender.
func (e *envelope) finish(ev *storev1.PurseEvent, returned im.Cents) {
	ev.Finished = &storev1.PurseFinished{Returned: int64(returned)}
	t := &storev1.Transfer{Event: moneyEvent(im.EnvelopeFinished), Cents: int64(returned), UntilMs: e.terms.ExpiresMs,
		Envelope: &storev1.EnvelopeTerms{Total: e.terms.Total, Shares: e.terms.Shares, Rule: e.terms.Rule}}
	if len(e.terms.Receivers) == 1 {
		t.User = e.terms.Receivers[0]
	}
	ev.Outs = append(ev.Outs, credit(im.UserID(e.terms.Sender), t))
}

// evolve implements content.
func (e *envelope) evolve(ev *storev1.PurseEvent) error {
	if f := ev.EnvelopeFunded; f != nil {
		if err := e.begin(f.Terms, f.Split); err != nil {
			return err
		}
	}
	if s := ev.EnvelopeOpened; s != nil {
		if err := e.take(s); err != nil {
			return err
		}
	}
	if ev.Finished != nil {
		if ev.Finished.Returned != int64(e.left) {
			return errDamaged
		}
		e.left = 0
	}
	return nil
}

// begin starts with the money and how it is split.
func (e *envelope) begin(terms *storev1.EnvelopeTerms, split []int64) error {
	sum := int64(0)
	for _, c := range split {
		if c < 1 || c > terms.GetTotal() {
			return errDamaged
		}
		sum += c
	}
	if e.terms != nil || sum == 0 || sum != terms.GetTotal() || sum > int64(im.MaxMoney) {
		return errDamaged
	}
	e.terms, e.split, e.left, e.ends = terms, split, im.Cents(sum), im.Millis(terms.ExpiresMs)
	for _, id := range terms.Receivers {
		e.receivers[im.UserID(id)] = nil
	}
	return nil
}

// take hands out the next share.
func (e *envelope) take(s *storev1.EnvelopeShare) error {
	n := len(e.openings)
	before, ok := e.receivers[im.UserID(s.User)]
	if n >= len(e.split) || s.Cents != e.split[n] || !ok || before != nil {
		return errDamaged
	}
	e.openings = append(e.openings, s)
	e.receivers[im.UserID(s.User)] = s
	e.left -= im.Cents(s.Cents)
	return nil
}

// encodeHead implements content.
func (e *envelope) encodeHead() proto.Message {
	return &storev1.EnvelopeHead{Seq: uint64(e.head), Pending: e.marked, Terms: e.terms, Split: e.split,
		Openings: slices.Clone(e.openings), Finished: e.finished, Forks: e.forks.stored()}
}

// restoreHead implements content.
func (e *envelope) restoreHead(value []byte) error {
	var m storev1.EnvelopeHead
	if err := proto.Unmarshal(value, &m); err != nil {
		return err
	}
	e.head, e.marked, e.forks = im.Seq(m.Seq), m.Pending, forksOf(m.Forks)
	if m.Terms == nil {
		return nil
	}
	if err := e.begin(m.Terms, m.Split); err != nil {
		return err
	}
	for _, s := range m.Openings {
		if err := e.take(s); err != nil {
			return err
		}
	}
	if e.finished = m.Finished; e.finished != nil {
		e.left, e.ends = 0, 0
	}
	return nil
}

// restored implements content.
func (e *envelope) restored() {}

package gateway

import (
	"cmp"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Waiting between attempts to attach doubles from minBackoff to maxBackoff; half
// of it is random.
const (
	minBackoff = 20 * time.Millisecond
	maxBackoff = 3 * time.Second
)

// While nobody serves a mailbox, which takes a second or two when it moves to another
// node and five or six when its part of the store fails over, sessions ask at least
// every movingBackoff: the first movingTries times, which is for about 15 seconds.
const (
	movingBackoff = 250 * time.Millisecond
	movingTries   = 80
)

// A session that has been live for calmAfter seconds is resumed as if it were for
// the first time; one that is lost again before begins as after hastyTries at
// most.
const (
	calmAfter  = 2
	hastyTries = 4
)

// attach asks the mailbox for the session: for the first time, or for one that
// continues. It reports whether it did; otherwise nobody wants it any more.
func (s *session) attach() bool {
	id := s.g.cfg.NextSession()
	s.mu.Lock()
	if !s.is(attaching) && !s.is(resuming) {
		s.mu.Unlock()
		return false
	}
	w := s.work
	cmd := s.attachment(id)
	s.id = id
	w.asked, w.lost = true, false
	w.submitting++
	s.mu.Unlock()
	s.g.cfg.Mailbox.Submit(s.addr(), cmd, s)
	s.mu.Lock()
	w.submitting--
	orphan := w.orphan && w.submitting == 0
	id = s.id
	s.rest()
	s.mu.Unlock()
	if orphan {
		s.g.cfg.Mailbox.Submit(s.addr(), &im.Detach{Session: id}, s)
	}
	return true
}

// attachment is the command that attaches the session under an id. A login that
// is repeated is a resumption too, so that it does not replace what the device
// has found elsewhere meanwhile. The caller has the mutex.
func (s *session) attachment(id im.SessionID) *im.Attach {
	cmd := &im.Attach{Device: s.device, TokenHash: s.hash, Session: id, Login: s.login, Sink: s}
	switch w := s.work; {
	case s.is(resuming):
		cmd.Resume = &im.Resume{Session: s.id, After: s.after}
	case w.asked:
		cmd.Resume, cmd.Generation = &im.Resume{Session: s.id, After: *w.cursor}, w.generation
	default:
		cmd.Cursor, cmd.Generation = w.cursor, w.generation
		return cmd
	}
	s.succeeded = true
	cmd.Sink = &successor{s, id}
	return cmd
}

// attached is the mailbox's word on an Attach.
func (s *session) attached(cmd *im.Attach, res im.Result, err error) {
	at, ok := res.(*im.Attached)
	if err == nil && !ok {
		err = im.Errorf(im.Internal, "Attach was answered with %T", res)
	}
	s.mu.Lock()
	st := state(s.state.Load())
	if err == nil && st != left && s.work.lost {
		err = im.Errorf(im.Unavailable, "the mailbox lost the session again")
	}
	switch {
	case st == left:
		// The connection has ended meanwhile; its Detach follows.
	case err != nil:
		s.unattached(err)
	case st == attaching:
		repeated := cmd.Resume != nil
		s.welcome(at)
		if repeated && s.is(live) {
			// What a cursor acknowledges, a resumption does not.
			s.work.acks.again(s.has)
		}
	default:
		s.resumed()
	}
	s.rest()
	s.mu.Unlock()
	s.replay()
	s.control()
	s.g.gate.leave(im.KindOf(err) == im.Busy)
}

// unattached plans the next attempt, or ends the connection. The caller has the
// mutex.
func (s *session) unattached(err error) {
	kind, login := im.KindOf(err), s.is(attaching)
	patience := s.g.cfg.ResumeFor
	again := kind == im.Unavailable || kind == im.Busy
	if login {
		patience = s.g.cfg.LoginFor
		if kind == im.Busy {
			// The mailbox has not looked at it: it is as if it had not
			// been asked.
			s.work.asked = false
		} else {
			again = again && s.work.cursor != nil
		}
	}
	wait := s.backoff(err)
	if again && s.g.uptime()-s.work.began+wait < patience {
		s.plan(wait)
		return
	}
	w := s.work
	s.end()
	w.orphan = false
	if login {
		s.refuse(err)
		return
	}
	s.g.stats.unresumed.Add(1)
	switch kind {
	case im.Busy:
		s.close(im.CloseUnavailable, err)
	case im.Invalid:
		s.defect("resumption", err)
		s.close(im.CloseInternal, err)
	default:
		s.close(s.closeCode("resumption", err), err)
	}
}

// backoff is how long to wait for the next attempt, and counts it. The caller
// has the mutex.
func (s *session) backoff(err error) time.Duration {
	longest := maxBackoff
	if im.IsElsewhere(err) && s.tries < movingTries {
		longest = movingBackoff
	}
	wait := min(minBackoff<<min(s.tries, 16), longest)
	if s.tries < 255 {
		s.tries++
	}
	wait = wait/2 + time.Duration(s.g.cfg.Rand(int64(wait/2)))
	if im.KindOf(err) == im.Busy {
		wait = max(wait, s.g.retryAfter(im.AsError(err)))
	}
	return wait
}

// plan makes the session queue for the next attempt after a while. The caller
// has the mutex.
func (s *session) plan(wait time.Duration) {
	w := s.work
	w.stop = s.g.cfg.After(wait, func() { s.g.gate.resume(w) })
}

// lose begins a resumption: the mailbox does not have the session any more. The
// caller has the mutex.
func (s *session) lose() {
	if !s.is(live) {
		return
	}
	s.set(resuming)
	s.g.stats.resuming.Add(1)
	up := s.g.uptime()
	s.busy().began = up
	if uint16(up/time.Second)-s.resumedAt >= calmAfter {
		s.tries = 0
	}
	s.tries = min(s.tries, hastyTries)
	s.proceed()
}

// proceed plans the attempt to resume when the mailbox has nothing of the
// session left. The caller has the mutex.
func (s *session) proceed() {
	w := s.work
	if !s.is(resuming) || w.resuming || w.replaying || w.acks.flying || w.pulls.flying || int(s.sends) > len(w.queue) {
		return
	}
	w.resuming = true
	s.plan(s.backoff(nil))
}

// resumed makes the session live again. What the client has acknowledged is
// said again: the mailbox may have forgotten it. The caller has the mutex.
func (s *session) resumed() {
	w := s.work
	w.resuming = false
	s.resumedAt = uint16(s.g.uptime() / time.Second)
	s.set(live)
	s.g.stats.resuming.Add(-1)
	s.g.stats.resumed.Add(1)
	if s.has > 0 {
		w.acks.again(s.has)
	}
	slices.SortStableFunc(w.queue, func(a, b *im.Send) int { return cmp.Compare(a.ClientSeq, b.ClientSeq) })
}

// replay submits what has waited for the session, in order: what comes
// meanwhile waits behind it.
func (s *session) replay() {
	s.mu.Lock()
	w := s.work
	if !s.is(live) || w == nil || w.replaying || len(w.queue) == 0 {
		s.mu.Unlock()
		return
	}
	w.replaying = true
	for s.is(live) && len(w.queue) > 0 {
		// The one before may still be in somebody's hands.
		cmd := *w.queue[0]
		cmd.Session = s.id
		if cmd.Trace != nil {
			t := *cmd.Trace
			cmd.Trace = &t
		}
		w.queue[0] = nil
		w.queue = w.queue[1:]
		s.mu.Unlock()
		s.submit(&cmd)
		s.mu.Lock()
	}
	w.replaying = false
	if !s.is(left) {
		s.proceed()
		s.rest()
	}
	s.mu.Unlock()
}

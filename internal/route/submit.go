package route

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// retryMS is when to try again what no node can be asked.
const retryMS = 200

func unavailable(why string) *im.Error {
	return &im.Error{Kind: im.Unavailable, RetryAfterMS: retryMS, Detail: why}
}

var (
	errNoSession = unavailable("no mailbox node has this session")
	errNobody    = &im.Error{Kind: im.Unavailable, RetryAfterMS: retryMS, Detail: "no mailbox node is there", Elsewhere: true}
)

// Submit implements im.Mailbox.
func (m *Mailbox) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	v := m.view.Load()
	if at, ok := cmd.(*im.Attach); ok {
		m.attach(v, to, at, done)
		return
	}
	if im.SessionOf(cmd) != 0 {
		m.offer(v, to, cmd, done)
		return
	}
	if im.Repeatable(cmd) {
		a := &attempt{m: m, to: to, cmd: cmd, done: done, until: m.cfg.Now().Add(m.cfg.Patience)}
		a.submit()
		return
	}
	if n := v.owner(to); n != nil {
		n.link.Submit(to, cmd, done)
		return
	}
	m.complete(cmd, done, errNobody)
}

// offer takes a command about a session to the node that has the session:
// nearly always the one that serves its entity.
func (m *Mailbox) offer(v *view, to im.Addr, cmd im.Command, done im.Completion) {
	first := v.owner(to)
	if first != nil && first.link.Offer(to, cmd, done) {
		return
	}
	for _, n := range v.nodes {
		if n != first && n.link.Offer(to, cmd, done) {
			return
		}
	}
	if _, ok := cmd.(*im.Detach); ok {
		m.complete(cmd, done, nil)
		return
	}
	m.unrouted.Add(1)
	m.complete(cmd, done, errNoSession)
}

func (m *Mailbox) complete(cmd im.Command, done im.Completion, err error) {
	if done != nil {
		done.Complete(cmd, nil, err)
	}
}

// attach takes an Attach to the node that serves the entity, and ends the
// session that it continues wherever else that is.
func (m *Mailbox) attach(v *view, to im.Addr, cmd *im.Attach, done im.Completion) {
	owner := v.owner(to)
	if cmd.Resume != nil {
		for _, n := range v.nodes {
			if n != owner && n.link.Offer(to, &im.Detach{Session: cmd.Resume.Session}, nil) {
				break
			}
		}
	}
	if owner == nil {
		m.complete(cmd, done, errNobody)
		return
	}
	owner.link.Submit(to, cmd, &attaching{m, to, owner, done})
}

// attaching hears whether the placement is old. It does not send an Attach on: the
// session may have been detached meanwhile. Who owns the session attaches again,
// at the right node.
type attaching struct {
	m    *Mailbox
	to   im.Addr
	at   *node
	done im.Completion
}

// Complete implements im.Completion.
func (a *attaching) Complete(cmd im.Command, res im.Result, err error) {
	if im.IsElsewhere(err) {
		a.m.cfg.Stale()
		a.m.heed(a.to.Slot(), a.at, err)
	}
	if a.done != nil {
		a.done.Complete(cmd, res, err)
	}
}

// maxCorrections is how often in a row a command goes to another node at once,
// because the one before has said that it is there.
const maxCorrections = 3

// attempt is a command that may be repeated.
type attempt struct {
	m     *Mailbox
	to    im.Addr
	cmd   im.Command
	done  im.Completion
	until time.Time
	tries int
	// turn orders those that wait.
	turn uint64
	// at is the node that was asked last; nil: there was none.
	at          *node
	corrections int
}

// How long to wait before a command is repeated: from minWait on, doubling; half
// of it is random.
const (
	minWait = 20 * time.Millisecond
	maxWait = 500 * time.Millisecond
)

// submit asks the node that serves the entity.
func (a *attempt) submit() {
	a.at = a.m.view.Load().owner(a.to)
	if a.at == nil {
		a.Complete(a.cmd, nil, errNobody)
		return
	}
	a.at.link.Submit(a.to, a.cmd, a)
}

// Complete implements im.Completion.
func (a *attempt) Complete(_ im.Command, res im.Result, err error) {
	switch {
	case err == nil || !a.again(err):
		a.finish(res, err)
	case a.correct(err):
		a.submit()
	case !a.wait():
		a.finish(res, err)
	}
}

// correct reports whether the node that was asked knows of another one.
func (a *attempt) correct(err error) bool {
	if a.at == nil || !im.IsElsewhere(err) || !a.m.heed(a.to.Slot(), a.at, err) || a.corrections == maxCorrections {
		return false
	}
	a.corrections++
	a.m.corrected.Add(1)
	return true
}

// again reports whether an error is a reason to ask another node.
func (a *attempt) again(err error) bool {
	if im.IsElsewhere(err) {
		a.m.cfg.Stale()
		return true
	}
	now := a.m.view.Load().owner(a.to)
	return im.KindOf(err) == im.Unavailable && a.at != nil && (now == nil || now.link != a.at.link)
}

// wait plans the next try, unless that would be too late, or too many wait.
func (a *attempt) wait() bool {
	m := a.m
	d := min(minWait<<min(a.tries, 10), maxWait)
	d = d/2 + time.Duration(m.cfg.Rand(int64(d/2)))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || len(m.waiting) >= m.cfg.MaxWaiting || m.cfg.Now().Add(d).After(a.until) {
		return false
	}
	a.tries++
	m.asked++
	a.turn = m.asked
	m.repeated.Add(1)
	m.waiting[a] = m.cfg.After(d, a.due)
	return true
}

// due ends a wait.
func (a *attempt) due() {
	a.m.mu.Lock()
	_, ok := a.m.waiting[a]
	delete(a.m.waiting, a)
	a.m.mu.Unlock()
	if ok {
		a.corrections = 0
		a.submit()
	}
}

// hurry repeats at once what waits for slots that have another owner by now. The
// caller has the mutex.
func (m *Mailbox) hurry(v *view) {
	for _, a := range m.inOrder() {
		n := v.owner(a.to)
		if n == nil || a.at != nil && a.at.link == n.link || !m.waiting[a]() {
			continue
		}
		m.waiting[a] = m.cfg.After(0, a.due)
	}
}

// inOrder lists what waits, those that began to wait first at the beginning. The
// caller has the mutex.
func (m *Mailbox) inOrder() []*attempt {
	list := slices.Collect(maps.Keys(m.waiting))
	slices.SortFunc(list, func(a, b *attempt) int { return cmp.Compare(a.turn, b.turn) })
	return list
}

func (a *attempt) finish(res im.Result, err error) {
	if a.done != nil {
		a.done.Complete(a.cmd, res, err)
	}
}

package sim

import (
	"bytes"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// article is the outgoing side of a client as the article has it: it numbers
// its messages itself and sends them in any order, again and again.
type article struct {
	messages []im.SendNumbered
	answered []bool
}

// articleAhead is how far ahead of an unanswered message others are sent.
const articleAhead = 6

// write starts sending n messages to friends.
func (u *user) write(n int) {
	for range n {
		peer := u.w.users[u.w.rng.IntN(len(u.w.users))]
		if peer == u {
			continue
		}
		u.out.messages = append(u.out.messages, im.SendNumbered{To: peer.id, SendID: uint64(len(u.out.messages) + 1),
			Content: im.Content{Type: im.ContentText, Body: u.body()}})
	}
	u.out.answered = make([]bool, len(u.out.messages))
	u.writeOn()
}

// writeOn sends some message near the first without an answer, and plans the
// next.
func (u *user) writeOn() {
	w, first := u.w, 0
	for first < len(u.out.answered) && u.out.answered[first] {
		first++
	}
	if first == len(u.out.answered) {
		return
	}
	i := max(0, min(first-2+w.rng.IntN(articleAhead), len(u.out.answered)-1))
	if w.calm {
		i = first
	}
	cmd := u.out.messages[i]
	w.request(u.addr, &cmd, func(res im.Result, err error) {
		w.logf("%v: send id %d: %+v, %v", u, cmd.SendID, res, err)
		switch {
		case err == nil:
			u.out.answered[i] = true
		case !im.KindOf(err).Temporary():
			w.fail("%v: send id %d: %v", u, cmd.SendID, err)
		}
	})
	w.after(w.between(0, 100*time.Millisecond), u.writeOn)
}

// checkArticle holds what was sent against the log, in the end.
func (u *user) checkArticle() {
	l := u.w.ledger(u.addr)
	if len(l.numbered) != len(u.out.messages) {
		u.w.fail("%v: %d of %d numbered messages were sent", u, len(l.numbered), len(u.out.messages))
	}
	for i, body := range l.numbered {
		if !bytes.Equal(body, u.out.messages[i].Content.Body) {
			u.w.fail("%v: send id %d is %q, not %q", u, i+1, body, u.out.messages[i].Content.Body)
		}
	}
}

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/skein-im/skein/client"
)

// entry shows what has come. It runs beside the lines that are read.
func (t *talker) entry(c *client.Client, e client.Entry) error {
	if e.Kind == client.ContactStep && len(e.Content.Body) > 0 && !e.Outgoing {
		t.introduced(c, e.Peer, string(e.Content.Body))
	}
	t.show(&e)
	select {
	case t.shown <- struct{}{}:
	default:
		// Nobody waits for so many.
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.st.Cursor, t.st.Generation = uint64(e.Seq), c.Generation()
	if time.Since(t.saved) < saveEvery {
		return nil
	}
	t.saved = time.Now()
	return t.st.save()
}

// notice shows a word of the operator.
func (t *talker) notice(_ *client.Client, n client.Notice) { t.say(t.w.notice, t.text(&n.Content)) }

// show prints an entry.
func (t *talker) show(e *client.Entry) {
	at, who := t.when(e.Time), t.name(e.Peer)
	switch e.Kind {
	case client.Message:
		text := t.text(&e.Content)
		if e.Outgoing {
			t.say(t.w.sent, at, who, text)
			return
		}
		t.say("%s  %s: %s", at, who, text)
	case client.ContactStep:
		texts := t.w.events
		if e.Outgoing {
			texts = t.w.ownEvents
		}
		line := fmt.Sprintf(texts[e.Contact], who)
		if note := clean(string(e.Content.Body)); note != "" && !e.Outgoing && note != who {
			line += ": " + note
		}
		t.say("%s  %s", at, line)
	case client.MoneyStep:
		t.showMoney(e)
	case client.Gone:
		t.say(t.w.gone, e.Seq)
	case client.Rewound:
		t.say(t.w.rewound, e.Seq)
	case client.Refused:
		reason := t.w.kinds[e.Refusal]
		if reason == "" {
			reason = e.Refusal.String()
		}
		t.say(t.w.refused, at, who, e.PairID, reason)
	}
}

func (t *talker) text(c *client.Content) string {
	if c.Type != client.ContentText {
		return fmt.Sprintf("[%d bytes]", len(c.Body))
	}
	return clean(string(c.Body))
}

// clean keeps what others wrote from controlling the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// when is the time of day, with the date unless it is today.
func (t *talker) when(at time.Time) string {
	at = at.Local()
	if y, m, d := at.Date(); time.Date(y, m, d, 0, 0, 0, 0, time.Local).Before(today()) {
		return at.Format("2006-01-02 15:04")
	}
	return at.Format("15:04:05")
}

func today() time.Time {
	y, m, d := time.Now().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.Local)
}

// introduced learns a name from the note of a request, if the server agrees
// that it is the sender's.
func (t *talker) introduced(c *client.Client, user client.UserID, note string) {
	word, _, _ := strings.Cut(strings.TrimSpace(note), " ")
	if word == "" || len(word) > 64 || t.known(user) != "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	if id, name, err := c.LookupUser(ctx, word); err == nil && id == user {
		t.learn(id, name)
	}
}

func (t *talker) known(user client.UserID) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.st.Names[user]
}

func (t *talker) learn(user client.UserID, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.st.Names[user] = name
}

// name is what to call a user: the name, or the number.
func (t *talker) name(user client.UserID) string {
	if name := t.known(user); name != "" {
		return clean(name)
	}
	return "#" + strconv.FormatUint(uint64(user), 10)
}

// find looks a user up by name, or takes a number.
func (t *talker) find(ctx context.Context, who string) (client.UserID, error) {
	if number, ok := strings.CutPrefix(who, "#"); ok {
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf(t.w.notNumber, number)
		}
		return client.UserID(n), nil
	}
	id, name, err := t.c.LookupUser(ctx, who)
	if err == nil {
		t.learn(id, name)
	}
	return id, err
}

// contacts lists everyone the user has dealings with.
func (t *talker) contacts(ctx context.Context) error {
	list, err := t.c.Contacts(ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		t.say("%s", t.w.noContacts)
	}
	for _, c := range list {
		user := client.UserID(c.GetUser())
		if c.GetNote() != "" {
			t.introduced(t.c, user, c.GetNote())
		}
		line := fmt.Sprintf("%s  %s", t.name(user), t.w.states[int32(c.GetState())])
		if c.GetBlocked() {
			line += t.w.and + t.w.blocked
		}
		t.say("%s", line)
	}
	return nil
}

func (t *talker) devices(ctx context.Context) error {
	list, err := t.c.Devices(ctx)
	if err != nil {
		return err
	}
	for _, d := range list {
		line := fmt.Sprintf(t.w.device, d.GetDevice(), clean(d.GetName()), t.when(time.UnixMilli(d.GetCreatedMs())))
		if d.GetCurrent() {
			line += t.w.and + t.w.thisDevice
		}
		if d.GetOnline() {
			line += t.w.and + t.w.online
		}
		t.say("%s", line)
	}
	return nil
}

// history shows the last entries of the conversation, oldest first.
func (t *talker) history(ctx context.Context, args []string) error {
	if t.peer == 0 {
		t.say("%s", t.w.nobody)
		return nil
	}
	n := 20
	if len(args) > 0 {
		var err error
		if n, err = strconv.Atoi(args[0]); err != nil {
			return fmt.Errorf(t.w.notNumber, args[0])
		}
	}
	entries, _, err := t.c.History(ctx, t.peer, 0, min(max(n, 1), 200))
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		t.say("%s", t.w.noHistory)
	}
	for i := range entries {
		t.show(&entries[len(entries)-1-i])
	}
	return nil
}

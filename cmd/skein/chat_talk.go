package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skein-im/skein/client"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
)

// talker is a chat under way.
type talker struct {
	*screen
	w  *words
	c  *client.Client
	me string
	// peer is whom lines are sent to; 0: nobody yet. It belongs to the
	// goroutine that reads lines.
	peer client.UserID
	// shown gets one element per entry that was shown, for /wait.
	shown chan struct{}

	mu    sync.Mutex
	st    *chatState
	saved time.Time
	// envelope is the last that came.
	envelope uint64
	// alarm is set while there is no link, and says so.
	alarm *time.Timer
}

const (
	// dialTimeout is how long the first connection may take.
	dialTimeout = 10 * time.Second
	// askTimeout is how long an answer may take.
	askTimeout = 15 * time.Second
	// saveEvery keeps a flood of entries from rewriting the state for each.
	saveEvery = time.Second
	// waitFor is how long /wait waits when it is not told.
	waitFor = 10 * time.Second
	// lostFor is for how long a link must be gone to be worth a word.
	lostFor = 2 * time.Second
	// shownKept is how many entries /wait remembers.
	shownKept = 10_000
)

func newTalker(s *screen, w *words, st *chatState) *talker {
	return &talker{screen: s, w: w, st: st, shown: make(chan struct{}, shownKept)}
}

// run connects and reads lines until they end, the user leaves, or the server
// does not want to see the device any more.
func (t *talker) run(ctx context.Context, f chatFlags) (err error) {
	cursor := t.st.Cursor
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	t.me = f.user
	t.c, err = client.Dial(dialing, client.Options{
		Addr: f.addr, Token: t.st.Token, Cursor: &cursor, Generation: t.st.Generation, OnEntry: t.entry, OnNotice: t.notice, OnLink: t.link, Agent: "skein-chat/" + version,
	})
	if err != nil {
		return t.ended(err)
	}
	if name := t.c.Self().Name; name != "" {
		t.me = name
	}
	t.say(t.w.welcome, t.me)
	lines := make(chan string)
	failed := make(chan error, 1)
	// Reading a line cannot be interrupted: the goroutine ends with the
	// input, or with the process.
	go t.readLines(ctx, lines, failed)
	err = t.obey(ctx, lines, failed)
	t.catchUp(ctx)
	return errors.Join(err, t.leave())
}

func (t *talker) readLines(ctx context.Context, lines chan<- string, failed chan<- error) {
	for {
		line, err := t.read()
		if err != nil {
			failed <- err
			return
		}
		select {
		case lines <- line:
		case <-ctx.Done():
			return
		}
	}
}

// obey does what the lines say.
func (t *talker) obey(ctx context.Context, lines <-chan string, failed <-chan error) error {
	for {
		select {
		case line := <-lines:
			if !t.line(ctx, line) {
				return nil
			}
		case err := <-failed:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-t.c.Done():
			return t.ended(t.c.Err())
		case <-ctx.Done():
			return nil
		}
	}
}

// ended explains why the server ended the chat.
func (t *talker) ended(err error) error {
	if client.KindOf(err) == client.Unauthenticated {
		return fmt.Errorf(t.w.badLogin, t.st.path)
	}
	return err
}

// catchUp shows what has come already, before leaving at the end of a script.
func (t *talker) catchUp(ctx context.Context) {
	if t.typed {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for t.c.Cursor() < t.c.Head() {
		select {
		case <-look.C:
		case <-t.c.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// leave closes the link and keeps the place in the timeline.
func (t *talker) leave() error {
	err := t.c.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.alarm != nil {
		t.alarm.Stop()
	}
	t.st.Cursor, t.st.Generation = uint64(t.c.Cursor()), t.c.Generation()
	return errors.Join(err, t.st.save())
}

// say prints a line.
func (t *talker) say(format string, args ...any) {
	fmt.Fprintf(t, format+"\n", args...)
}

// line does what a line says; false: leave.
func (t *talker) line(ctx context.Context, line string) bool {
	text := strings.TrimSpace(line)
	switch {
	case text == "":
		return true
	case strings.HasPrefix(text, "//"):
		t.send(ctx, text[1:], 0)
	case strings.HasPrefix(text, "/trace "):
		t.sendTraced(ctx, strings.TrimSpace(text[len("/trace "):]))
	case strings.HasPrefix(text, "/"):
		return t.command(ctx, strings.Fields(text))
	default:
		t.send(ctx, line, 0)
	}
	return true
}

// command obeys a command; false: leave.
func (t *talker) command(ctx context.Context, words []string) bool {
	name, args := words[0], words[1:]
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var err error
	switch name {
	case "/quit", "/exit":
		return false
	case "/help":
		t.say("%s", t.w.help)
	case "/contacts":
		err = t.contacts(ctx)
	case "/devices":
		err = t.devices(ctx)
	case "/history":
		err = t.history(ctx, args)
	case "/wait":
		err = t.wait(ctx, args)
	case "/gift":
		err = t.gift(ctx, args)
	case "/open":
		err = t.open(ctx, args)
	case "/shake":
		err = t.shake(ctx, args)
	case "/balance":
		err = t.balance(ctx)
	case "/statement":
		err = t.statement(ctx)
	case "/to", "/add", "/accept", "/refuse", "/remove", "/block", "/unblock":
		if len(args) == 0 {
			t.say(t.w.usage, name)
			return true
		}
		err = t.step(ctx, name, args[0], strings.Join(args[1:], " "))
	default:
		t.say(t.w.unknown, name)
	}
	if err != nil {
		t.fail(err)
	}
	return true
}

func (t *talker) fail(err error) {
	t.say(t.w.failed, t.w.why(err))
}

// link says when the connection has been gone for a while, and when it is back.
func (t *talker) link(_ *client.Client, up bool, _ error) {
	t.mu.Lock()
	alarm := t.alarm
	t.alarm = nil
	if !up {
		t.alarm = time.AfterFunc(lostFor, func() { t.say("%s", t.w.lost) })
	}
	t.mu.Unlock()
	if alarm != nil && !alarm.Stop() {
		t.say("%s", t.w.back)
	}
}

// step takes a step towards another user.
func (t *talker) step(ctx context.Context, name, who, note string) error {
	user, err := t.find(ctx, who)
	if client.KindOf(err) == client.NotFound {
		t.say(t.w.noSuchUser, clean(who))
		return nil
	}
	if err != nil {
		return err
	}
	switch name {
	case "/to":
		t.peer = user
		t.say(t.w.nowTo, t.name(user))
	case "/add":
		// Without a note, the name: the other side can look it up.
		if note == "" {
			note = t.me
		}
		var c *skeinv1.Contact
		c, err = t.c.RequestContact(ctx, user, note)
		if c.GetState() == skeinv1.ContactState_CONTACT_STATE_FRIENDS {
			t.say(t.w.already, t.name(user))
		}
	case "/accept":
		_, err = t.c.AcceptContact(ctx, user)
	case "/refuse":
		_, err = t.c.RefuseContact(ctx, user)
	case "/remove":
		_, err = t.c.RemoveContact(ctx, user)
	case "/block":
		_, err = t.c.BlockContact(ctx, user)
	case "/unblock":
		_, err = t.c.UnblockContact(ctx, user)
	}
	return err
}

// send sends a line to the user of the moment.
func (t *talker) send(ctx context.Context, text string, trace client.TraceID) {
	if t.peer == 0 {
		t.say("%s", t.w.nobody)
		return
	}
	if !t.c.Connected() {
		t.say("%s", t.w.offline)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := t.c.SendTraced(ctx, t.peer, client.Text(text), trace)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		t.say("%s", t.w.late)
	case err != nil:
		t.fail(err)
	case !t.typed:
		t.say(t.w.sent, t.when(r.Time), t.name(t.peer), clean(text))
	}
}

// sendTraced is send that has the server trace the message, and prints what to
// ask for.
func (t *talker) sendTraced(ctx context.Context, text string) {
	trace := client.NewTraceID()
	t.send(ctx, text, trace)
	if t.peer != 0 {
		t.say(t.w.traced, trace)
	}
}

// wait waits until so many entries have been shown.
func (t *talker) wait(ctx context.Context, args []string) error {
	n, limit := 1, waitFor
	if len(args) > 0 {
		var err error
		if n, err = strconv.Atoi(args[0]); err != nil {
			return fmt.Errorf(t.w.notNumber, args[0])
		}
	}
	if len(args) > 1 {
		secs, err := strconv.Atoi(args[1])
		if err != nil {
			return fmt.Errorf(t.w.notNumber, args[1])
		}
		limit = time.Duration(secs) * time.Second
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for i := range n {
		select {
		case <-t.shown:
		case <-t.c.Done():
			return t.c.Err()
		case <-timer.C:
			return fmt.Errorf(t.w.notYet, i, n)
		case <-ctx.Done():
			return fmt.Errorf(t.w.notYet, i, n)
		}
	}
	return nil
}

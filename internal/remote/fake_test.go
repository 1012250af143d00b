package remote

import (
	"context"
	"fmt"
	"sync"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
)

// fakeMailbox answers as a test tells it to.
type fakeMailbox struct {
	mu sync.Mutex
	// answer decides what a command is answered with; nil: nothing yet.
	answer func(to im.Addr, cmd im.Command) (im.Result, error, bool)
	// held are the commands without an answer.
	held  []heldCommand
	got   []im.Command
	sinks map[im.Addr]im.Sink
	// changed wakes those who wait for a command.
	changed *sync.Cond
	level   im.Level
	// read answers both kinds of reads.
	read func(user im.UserID, from im.Seq, limit int) ([][]byte, im.Seq, error)
}

// traced writes down what a sink hears.
type traced struct {
	trace *[]string
	ended chan struct{}
}

func (s traced) Deliver(first, last im.Seq, _ [][]byte) {
	*s.trace = append(*s.trace, fmt.Sprintf("deliver %d-%d", first, last))
}

func (s traced) Kick(code im.CloseCode, reason string) {
	*s.trace = append(*s.trace, fmt.Sprintf("kick %d %s", code, reason))
	close(s.ended)
}

type heldCommand struct {
	to   im.Addr
	cmd  im.Command
	done im.Completion
}

func newFakeMailbox() *fakeMailbox {
	m := &fakeMailbox{sinks: map[im.Addr]im.Sink{}, level: im.AnyLevel}
	m.changed = sync.NewCond(&m.mu)
	return m
}

func (m *fakeMailbox) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	var res im.Result
	var err error
	ok := true
	m.mu.Lock()
	m.got = append(m.got, cmd)
	if at, ok := cmd.(*im.Attach); ok {
		m.sinks[to] = at.Sink
		res = &im.Attached{}
	}
	if m.answer != nil {
		res, err, ok = m.answer(to, cmd)
	}
	if !ok {
		m.held = append(m.held, heldCommand{to, cmd, done})
	}
	m.changed.Broadcast()
	m.mu.Unlock()
	if ok && done != nil {
		done.Complete(cmd, res, err)
	}
}

// script sets what commands are answered with.
func (m *fakeMailbox) script(answer func(to im.Addr, cmd im.Command) (im.Result, error, bool)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = answer
}

// waitFor waits until the commands that came satisfy a condition.
func (m *fakeMailbox) waitFor(ok func(got []im.Command) bool) {
	defer patience.Bound("commands")()
	m.mu.Lock()
	defer m.mu.Unlock()
	for !ok(m.got) {
		m.changed.Wait()
	}
}

// release answers what is held.
func (m *fakeMailbox) release(res func(im.Command) im.Result) {
	m.mu.Lock()
	held := m.held
	m.held = nil
	m.mu.Unlock()
	for _, h := range held {
		if h.done != nil {
			h.done.Complete(h.cmd, res(h.cmd), nil)
		}
	}
}

func (m *fakeMailbox) sink(to im.Addr) im.Sink {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sinks[to]
}

func (m *fakeMailbox) ReadTimeline(ctx context.Context, user im.UserID, after im.Seq, limit int) ([][]byte, error) {
	entries, _, err := m.ReadConversation(ctx, user, after, limit)
	return entries, err
}

func (m *fakeMailbox) ReadConversation(_ context.Context, user im.UserID, from im.Seq, limit int) ([][]byte, im.Seq, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.read(user, from, limit)
}

// forget empties the list of what came.
func (m *fakeMailbox) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got, m.sinks = nil, map[im.Addr]im.Sink{}
}

// last is the command that came last.
func (m *fakeMailbox) last() im.Command {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got[len(m.got)-1]
}

func (m *fakeMailbox) Level() im.Level {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.level
}

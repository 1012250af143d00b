package shard

import (
	"errors"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

// The answer to a repeated send stands for no entry, even if the entry is the
// next one that its session waits for.
func TestRepeatedSendToLaggingSession(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.WindowEntries = 4 })
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	h.finish()
	for n := range im.LinkSeq(4) {
		h.link(2, 1, n+1)
	}
	h.send(1, 2, 1, 0)
	h.commit()
	h.drain()
	h.send(1, 2, 1, 1)
	h.finish()
	h.expect("reply send 1: seq 5 shown false")
}

func TestDeliveryKeepsToWindow(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.WindowEntries = 2 })
	h.befriend(1, 2)
	s := h.attach(1, 1, 0)
	h.finish()
	h.drain()
	for n := range im.LinkSeq(5) {
		h.link(2, 1, n+1)
	}
	h.commit()
	h.expect("deliver 1: 1..2", "ack user/1 to user/2: 5")
	s.ack(2)
	h.finish()
	h.expect("reply ack", "deliver 1: 3..4")
}

func TestDeliveryKeepsToWindowBytes(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.WindowBytes = 30 })
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	h.finish()
	h.drain()
	for n := range im.LinkSeq(5) {
		h.link(2, 1, n+1)
	}
	h.commit()
	// The one that exceeds the bound still goes.
	h.expect("deliver 1: 1..2", "ack user/1 to user/2: 5")
}

// A revoked device sees nothing of what follows in the same commit.
func TestRevokeEndsDeliveries(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	h.attach(1, 2, 0)
	h.finish()
	h.drain()
	h.link(2, 1, 1)
	h.do("revoke", im.User(1), &im.RevokeDevice{Device: 1})
	h.link(2, 1, 2)
	h.commit()
	h.expect("reply revoke", "kick 1: 201", "deliver 2: 1..2", "ack user/1 to user/2: 2")
	if h.core.Stats.Sessions != 1 {
		t.Fatalf("%d sessions", h.core.Stats.Sessions)
	}
}

// A device that has been away gets what it missed from the store, after the
// answer to its login.
func TestCatchUp(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.ReadBytes = 1 })
	h.befriend(1, 2)
	for n := range im.LinkSeq(3) {
		h.link(2, 1, n+1)
	}
	h.commit()
	h.drain()
	s := h.attach(1, 1, 1)
	h.expect("reply attach 1: head 3 cursor 1")
	h.readTimelines()
	h.expect("deliver 1: 2..2")
	// What comes during the reading waits for its turn.
	h.link(2, 1, 4)
	h.commit()
	h.expect("ack user/1 to user/2: 4")
	h.readTimelines()
	h.expect("deliver 1: 3..3")
	h.readTimelines()
	h.expect("deliver 1: 4..4")
	h.readTimelines()
	h.link(2, 1, 5)
	h.commit()
	h.expect("deliver 1: 5..5", "ack user/1 to user/2: 5")
	if len(s.got) != 4 || s.got[0] != "link 2" || s.got[3] != "link 5" {
		t.Fatalf("got %q", s.got)
	}
}

// A sender sees everything before its own message, and its own message in the
// answer; its other devices get all of it delivered.
func TestAnswerStandsForEntry(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	h.attach(1, 2, 0)
	h.drain()
	h.link(2, 1, 1)
	h.send(1, 2, 1, 1)
	h.send(1, 2, 2, 1)
	h.link(2, 1, 2)
	h.expect()
	h.commit()
	h.expect("deliver 1: 1..1", "reply send 1: seq 2 shown true", "reply send 2: seq 3 shown true",
		"deliver 1: 4..4", "deliver 2: 1..4",
		"ack user/1 to user/2: 2", "link user/1 to user/2: 1", "link user/1 to user/2: 2")
}

// An answer does not stand for an entry whose predecessors the session lacks.
func TestAnswerDoesNotStandForEntryAfterGap(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.WindowEntries = 1 })
	h.befriend(1, 2)
	s := h.attach(1, 1, 0)
	h.drain()
	h.link(2, 1, 1)
	h.link(2, 1, 2)
	h.send(1, 2, 1, 1)
	h.commit()
	h.expect("deliver 1: 1..1", "reply send 1: seq 3 shown false", "ack user/1 to user/2: 2", "link user/1 to user/2: 1")
	for seq := range im.Seq(2) {
		s.ack(seq + 1)
		h.drain()
		h.readTimelines()
	}
	h.expect("deliver 1: 3..3")
}

// Nobody else's session takes the place of the sender's.
func TestAnswerToOtherSession(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	h.drain()
	h.send(1, 2, 1, 77)
	h.send(1, 2, 2, 0)
	h.commit()
	h.expect("reply send 1: seq 1 shown false", "reply send 2: seq 2 shown false", "deliver 1: 1..2",
		"link user/1 to user/2: 1", "link user/1 to user/2: 2")
}

// A device has one link; long polls live beside it.
func TestReplaced(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	h.attach(1, 2, 0)
	h.sessions++
	poll := &sink{h: h, id: h.sessions, user: 1, device: 1}
	h.do("poll", im.User(1), &im.Attach{Device: 1, TokenHash: [32]byte{1}, Session: poll.id, Sink: poll, Poll: true})
	h.expect("reply attach 1: head 0 cursor 0", "reply attach 2: head 0 cursor 0", "reply poll: head 0 cursor 0")
	h.attach(1, 1, 0)
	h.expect("kick 1: 202", "reply attach 4: head 0 cursor 0")
	if h.core.Stats.Sessions != 3 {
		t.Fatalf("%d sessions", h.core.Stats.Sessions)
	}
	h.link(2, 1, 1)
	h.commit()
	h.expect("deliver 2: 1..1", "deliver 3: 1..1", "deliver 4: 1..1", "ack user/1 to user/2: 1")
	h.do("devices", im.User(1), &im.ListDevices{})
	for _, id := range []im.SessionID{2, 3, 4, 4, 99} {
		h.do("detach", im.User(1), &im.Detach{Session: id})
	}
	if h.core.Stats.Sessions != 0 {
		t.Fatalf("%d sessions", h.core.Stats.Sessions)
	}
}

func TestOnline(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.attach(1, 2, 0)
	var got []im.DeviceInfo
	h.core.Handle(h.now, Input{To: im.User(1), Cmd: &im.ListDevices{}, Done: im.CompletionFunc(func(_ im.Command, res im.Result, _ error) {
		got = res.([]im.DeviceInfo)
	})})
	if len(got) != 2 || got[0].Online || !got[1].Online {
		t.Fatalf("got %+v", got)
	}
}

// Deliveries begin when the login has been answered, and not if the session
// ended before.
func TestDetachBeforeAnswer(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.link(2, 1, 1)
	h.attach(1, 1, 0)
	h.attach(1, 2, 0)
	h.do("detach", im.User(1), &im.Detach{Session: 1})
	h.expect("reply detach")
	h.commit()
	h.expect("reply attach 1: head 1 cursor 0", "reply attach 2: head 1 cursor 0", "ack user/1 to user/2: 1")
	h.readTimelines()
	h.expect("deliver 2: 1..1")
}

func TestLoginRefused(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	s := &sink{h: h, id: 9}
	h.do("attach", im.User(1), &im.Attach{Device: 1, TokenHash: [32]byte{2}, Session: 9, Sink: s})
	cursor := im.Seq(1)
	h.do("attach", im.User(1), &im.Attach{Device: 1, TokenHash: [32]byte{1}, Cursor: &cursor, Session: 9, Sink: s})
	h.expect("reply attach: unauthenticated", "reply attach: invalid")
	if h.core.Stats.Sessions != 0 {
		t.Fatalf("%d sessions", h.core.Stats.Sessions)
	}
}

// A device that finds a gap has deliveries begin again after what it has.
func TestRedeliver(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	for n := range im.LinkSeq(4) {
		h.link(2, 1, n+1)
	}
	h.commit()
	h.drain()
	h.do("pull", im.User(1), &im.Redeliver{Session: 1, Seq: 2})
	h.expect("reply pull")
	// Once more, elsewhere, while the store is being read.
	h.do("pull", im.User(1), &im.Redeliver{Session: 1, Seq: 1})
	h.readTimelines()
	h.expect("reply pull")
	h.readTimelines()
	h.expect("deliver 1: 2..4")
	h.do("pull", im.User(1), &im.Redeliver{Session: 1, Seq: 4})
	h.do("pull", im.User(1), &im.Redeliver{Session: 1, Seq: 5})
	h.do("pull", im.User(1), &im.Redeliver{Session: 7, Seq: 1})
	h.expect("reply pull", "reply pull: invalid", "reply pull: unavailable")
	h.readTimelines()
	h.link(2, 1, 5)
	h.commit()
	h.expect("deliver 1: 5..5", "ack user/1 to user/2: 5")
}

// A device whose earlier request has deliveries begin at old entries once more
// may be ahead of its session.
func TestRedeliverAhead(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.ReadBytes = 1 })
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	for n := range im.LinkSeq(4) {
		h.link(2, 1, n+1)
	}
	h.commit()
	h.do("pull", im.User(1), &im.Redeliver{Session: 1, Seq: 0})
	h.drain()
	h.readTimelines()
	h.expect("deliver 1: 1..1")
	h.do("pull", im.User(1), &im.Redeliver{Session: 1, Seq: 3})
	h.finish()
	h.expect("reply pull", "deliver 1: 4..4")
}

// A timeline that cannot be read ends the session: the device comes back.
func TestTimelineCannotBeRead(t *testing.T) {
	for name, read := range map[string]func(h *harness, r timelineRead){
		"failure": func(h *harness, r timelineRead) {
			h.core.TimelineRead(h.now, r.addr, r.session, nil, errors.New("disk trouble"))
		},
		"nothing": func(h *harness, r timelineRead) { h.core.TimelineRead(h.now, r.addr, r.session, nil, nil) },
		"gap": func(h *harness, r timelineRead) {
			h.core.TimelineRead(h.now, r.addr, r.session, []im.LogEntry{{Seq: 1}, {Seq: 3}}, nil)
		},
		"damage": func(h *harness, r timelineRead) {
			h.core.TimelineRead(h.now, r.addr, r.session, []im.LogEntry{{Seq: 1, Value: []byte{0xff}}}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.befriend(1, 2)
			h.link(2, 1, 1)
			h.commit()
			h.attach(1, 1, 0)
			h.drain()
			read(h, h.timelines[0])
			h.expect("kick 1: 106")
			// Late answers find nobody.
			read(h, h.timelines[0])
			h.expect()
			if h.core.Stats.Sessions != 0 {
				t.Fatalf("%d sessions", h.core.Stats.Sessions)
			}
		})
	}
}

// Acks open the window: those of what was delivered, and of what an answer
// stood for.
func TestAcksOpenWindow(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.WindowEntries = 2 })
	h.befriend(1, 2)
	s := h.attach(1, 1, 0)
	h.drain()
	h.send(1, 2, 1, 1)
	h.link(2, 1, 1)
	h.link(2, 1, 2)
	h.commit()
	h.expect("reply send 1: seq 1 shown true", "deliver 1: 2..2", "link user/1 to user/2: 1", "ack user/1 to user/2: 2")
	s.ack(1)
	h.finish()
	h.expect("reply ack", "deliver 1: 3..3")
	h.link(2, 1, 3)
	h.link(2, 1, 4)
	h.commit()
	h.expect("ack user/1 to user/2: 4")
	s.ack(1)
	h.finish()
	h.expect("reply ack")
	s.ack(3)
	h.finish()
	h.expect("reply ack", "deliver 1: 4..5")
	s.ack(6)
	h.expect("reply ack: invalid")
}

// A device that has more than its session delivered needs no more of that.
func TestAckBeyondDelivered(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.WindowEntries = 2 })
	h.befriend(1, 2)
	s := h.attach(1, 1, 0)
	for n := range im.LinkSeq(9) {
		h.link(2, 1, n+1)
	}
	h.commit()
	h.drain()
	s.ack(4)
	h.finish()
	h.expect("reply ack", "deliver 1: 5..6")
	// One who claims more than there is gets what there is.
	s.ack(10)
	h.finish()
	h.expect("reply ack: invalid")
	s.ack(6)
	// While the store is being read for it, too.
	s.ack(7)
	h.finish()
	h.expect("reply ack", "reply ack", "deliver 1: 8..9")
	s.ack(9)
	h.link(2, 1, 10)
	h.finish()
	h.expect("reply ack", "deliver 1: 10..10", "ack user/1 to user/2: 10")
}

// Who has a session when the mailbox moves is told to come back.
func TestDropKicks(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	h.link(2, 1, 1)
	h.attach(1, 2, 0)
	h.drain()
	h.core.DropAll(&im.Error{Kind: im.Unavailable})
	h.expect("reply attach 2: unavailable", "kick 1: 106", "kick 2: 106")
	if h.core.Stats.Sessions != 0 || h.core.Stats.Hot != 0 {
		t.Fatalf("%d sessions, %d hot", h.core.Stats.Sessions, h.core.Stats.Hot)
	}
}

// A connection whose mailbox has lost its session continues where it was:
// nothing twice, nothing acknowledged that the device has not.
func TestResume(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	h.finish()
	for n := range im.LinkSeq(3) {
		h.link(2, 1, n+1)
	}
	h.commit()
	h.drain()
	h.resume(1, 1, im.Resume{Session: 1, After: 2}, 5)
	h.finish()
	h.expect("reply attach 2: head 3 cursor 2", "deliver 2: 3..3")
	h.do("authenticate", im.User(1), &im.Authenticate{Device: 1, TokenHash: [32]byte{1}})
	h.expect("reply authenticate: head 3 cursor 0")
	h.resume(1, 1, im.Resume{Session: 2, After: 4}, 5)
	h.finish()
	h.expect("reply attach 3: invalid")
}

// A device that logged in elsewhere meanwhile keeps its newer session, and an
// older one gives way.
func TestResumeOfOutdatedSession(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.resume(1, 1, im.Resume{Session: 90}, 5)
	h.finish()
	h.drain()
	h.resume(1, 1, im.Resume{Session: 91}, 4)
	h.finish()
	h.expect("reply attach 2: conflict")
	h.resume(1, 1, im.Resume{Session: 92}, 6)
	h.finish()
	h.expect("kick 1: 202", "reply attach 3: head 0 cursor 0")
	h.attach(1, 1, 0)
	h.finish()
	h.expect("kick 3: 202", "reply attach 4: head 0 cursor 0")
}

package clientcore

import (
	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Config bounds a Core.
type Config struct {
	// Window is how many sends may be unanswered at a time; the server may
	// ask for less. 0: im.SendWindow, which is also the most.
	Window int
	// Outbox is how many sends may wait for their answers, transmitted or
	// not. 0: 1024.
	Outbox int
}

const defaultOutbox = 1024

// Core is one device's protocol state. T is what the caller wants back with
// the answer to a send.
type Core[T any] struct {
	cfg Config
	// user is this device's user, known after the first Welcome.
	user im.UserID
	// open: a Welcome has come and the connection is still there.
	open bool
	out  outbox[T]
	in   timeline
	// answers hold what the last frame brought.
	answers []Answer[T]
}

// State is what a device keeps to continue after a restart. The zero State is
// that of a device that knows nothing.
type State struct {
	// Numbered says that ClientSeq is known.
	Numbered bool
	// ClientSeq is the last number given to a send.
	ClientSeq im.ClientSeq
	// HasCursor says that Cursor is known.
	HasCursor bool
	// Cursor is the last timeline entry the application has taken.
	Cursor im.Seq
	// Generation is that of the timeline that Cursor is of; nil: not known.
	Generation *im.Generation
	// Unanswered are the sends that wait for their answers, in order.
	Unanswered []wire.Send
}

// Welcome is what the core needs of skein.v1.Welcome.
type Welcome struct {
	User       im.UserID
	Head       im.Seq
	Cursor     im.Seq
	ClientSeq  im.ClientSeq
	SendWindow int
	// Generation is the timeline's; nil: the server does not say. Kept is up to
	// where it is what it was in the one that Hello named, if that was another.
	Generation *im.Generation
	Kept       *im.Seq
}

// WelcomeOf reads what the core needs of a Welcome.
func WelcomeOf(m *skeinv1.Welcome) Welcome {
	w := Welcome{
		User: im.UserID(m.GetUser()), Head: im.Seq(m.GetHead()), Cursor: im.Seq(m.GetCursor()),
		ClientSeq: im.ClientSeq(m.GetClientSeq()), SendWindow: int(m.GetSendWindow()),
	}
	if m.Generation != nil {
		generation := im.Generation(m.GetGeneration())
		w.Generation = &generation
	}
	if m.Kept != nil {
		kept := im.Seq(m.GetKept())
		w.Kept = &kept
	}
	return w
}

// protocolVersion is what Hello says.
const protocolVersion = 1

// AppendHello appends the first frame of a connection: m, with version and
// cursor filled in.
func (c *Core[T]) AppendHello(dst []byte, m *skeinv1.Hello) ([]byte, error) {
	m.Version, m.Cursor, m.Generation = protocolVersion, nil, nil
	if c.in.known {
		m.Cursor = proto.Uint64(uint64(c.in.taken))
		if g := c.in.generation; g != nil {
			m.Generation = proto.Uint64(uint64(*g))
		}
	}
	return wire.AppendMessage(dst, wire.TypeHello, m)
}

// Answer is the final word on a send. Err is nil when it was accepted.
type Answer[T any] struct {
	Tag       T
	ClientSeq im.ClientSeq
	// Seq is the message's entry in the sender's timeline.
	Seq    im.Seq
	PairID uint64
	Time   im.Millis
	Err    *im.Error
}

// New makes a Core that continues from a state. Sends that the state holds
// are answered under the zero T.
func New[T any](cfg Config, st State) *Core[T] {
	if cfg.Window <= 0 || cfg.Window > im.SendWindow {
		cfg.Window = im.SendWindow
	}
	if cfg.Outbox <= 0 {
		cfg.Outbox = defaultOutbox
	}
	c := &Core[T]{cfg: cfg}
	c.out = outbox[T]{window: cfg.Window, numbered: st.Numbered, last: st.ClientSeq}
	for _, s := range st.Unanswered {
		c.out.items = append(c.out.items, item[T]{send: s, waiting: true})
	}
	c.in = timeline{
		known: st.HasCursor, generation: st.Generation,
		received: st.Cursor, taken: st.Cursor, acked: st.Cursor, head: st.Cursor,
	}
	return c
}

// Export returns what to keep for a restart. A device that keeps its sends
// does so before it writes what AppendFrames returns. Bodies are shared with
// the outbox.
func (c *Core[T]) Export() State {
	st := State{Numbered: c.out.numbered, ClientSeq: c.out.last, HasCursor: c.in.known, Cursor: c.in.taken, Generation: c.in.generation}
	for i := range c.out.live() {
		if it := &c.out.live()[i]; !it.done {
			st.Unanswered = append(st.Unanswered, it.send)
		}
	}
	return st
}

// Send puts a message into the outbox. The body must not change until the
// send is answered. Busy: the outbox is full.
func (c *Core[T]) Send(to im.UserID, content im.Content, tag T) error {
	return c.SendTraced(to, content, 0, tag)
}

// SendTraced is Send that asks for the message to be traced.
func (c *Core[T]) SendTraced(to im.UserID, content im.Content, trace im.TraceID, tag T) error {
	if err := content.Check(); err != nil {
		return err
	}
	if to == 0 {
		return im.Errorf(im.Invalid, "a message needs a receiver")
	}
	if len(c.out.live()) >= c.cfg.Outbox {
		return im.Errorf(im.Busy, "%d sends wait for their answers, which is the limit", c.cfg.Outbox)
	}
	c.out.add(to, content, trace, tag)
	return nil
}

// Welcome opens a connection. Everything unanswered will be sent again. lost is how
// many of the entries that have come the server has lost, which are those after
// Received now: their numbers will come again, with other entries.
func (c *Core[T]) Welcome(w Welcome) (lost uint64) {
	c.open = true
	c.user = w.User
	c.out.window = c.cfg.Window
	if w.SendWindow > 0 {
		c.out.window = min(c.out.window, w.SendWindow)
	}
	c.out.reconcile(w.ClientSeq)
	if w.Generation != nil {
		c.in.generation = w.Generation
	}
	if w.Kept != nil {
		lost = c.in.rewind(*w.Kept)
	}
	c.in.open(w.Cursor, w.Head)
	return lost
}

// Generation is that of the timeline, which the cursor belongs to; nil: the server
// has not said.
func (c *Core[T]) Generation() *im.Generation { return c.in.generation }

// Disconnected ends the connection. What was in flight counts as lost.
func (c *Core[T]) Disconnected() {
	c.open = false
	c.answers = c.answers[:0]
	c.out.rewind()
	c.in.close()
}

// Frame takes a SendAck or Deliver. What follows from it is in Answers and
// Entries. An error means that the connection cannot be trusted: the caller
// takes what came before the error, closes the connection and calls
// Disconnected.
func (c *Core[T]) Frame(t wire.Type, payload []byte) error {
	clear(c.answers)
	c.answers = c.answers[:0]
	c.in.entries = c.in.entries[:0]
	if !c.open {
		return im.Errorf(im.Invalid, "%s before welcome", t)
	}
	switch t {
	case wire.TypeSendAck:
		var a wire.SendAck
		if err := a.Unmarshal(payload); err != nil {
			return err
		}
		return c.sendAck(&a)
	case wire.TypeDeliver:
		return c.in.deliver(payload)
	}
	return im.Errorf(im.Invalid, "the server sent an unexpected %s", t)
}

// Answers are the sends that the last frame answered. The slice is reused.
func (c *Core[T]) Answers() []Answer[T] { return c.answers }

// Entries are the timeline entries that the last frame brought; entries that
// show nothing are left out. They alias the frame; the slice is reused.
func (c *Core[T]) Entries() []wire.Entry { return c.in.entries }

// Taken says that the application has stored all entries up to seq.
func (c *Core[T]) Taken(seq im.Seq) { c.in.take(seq) }

// Pause leaves further entries at the server, because the application has
// enough to do; Unpause asks for what was left. Sends go on meanwhile.
func (c *Core[T]) Pause() { c.in.paused = true }

// Unpause ends Pause.
func (c *Core[T]) Unpause() { c.in.unpause() }

// AppendFrames appends frames that are to be written now, sends and pulls,
// until dst has limit bytes or more. Call it again while Ready.
func (c *Core[T]) AppendFrames(dst []byte, limit int) []byte {
	if !c.open {
		return dst
	}
	if c.in.pull {
		c.in.pull = false
		dst = wire.AppendPullFrame(dst, &wire.Pull{Seq: c.in.received})
	}
	return c.out.transmit(dst, limit)
}

// Ready reports whether AppendFrames has something to append.
func (c *Core[T]) Ready() bool {
	return c.open && (c.in.pull || c.out.ready())
}

// Thresholds of AckDue: well below the windows of the server, which would
// otherwise stop delivering.
const (
	ackEntries = 64
	ackBytes   = 256 << 10
)

// AckPending reports whether the server can be told something new by
// AppendAck; a caller tells it within a fraction of a second.
func (c *Core[T]) AckPending() bool { return c.open && c.in.taken > c.in.acked }

// AckDue reports whether it should be told at once.
func (c *Core[T]) AckDue() bool {
	return c.AckPending() && (c.in.taken-c.in.acked >= ackEntries || c.in.unacked >= ackBytes)
}

// AppendAck appends a frame that acknowledges all the application has taken,
// if the server does not know yet.
func (c *Core[T]) AppendAck(dst []byte) []byte {
	if !c.AckPending() {
		return dst
	}
	c.in.acked, c.in.unacked = c.in.taken, 0
	return wire.AppendAckFrame(dst, &wire.Ack{Seq: c.in.acked})
}

// Cursor is what Hello should say: the last entry the application has taken;
// false: leave it to the server.
func (c *Core[T]) Cursor() (im.Seq, bool) { return c.in.taken, c.in.known }

// Received is the last entry that has come, taken or not.
func (c *Core[T]) Received() im.Seq { return c.in.received }

// Head is the last entry the timeline is known to have.
func (c *Core[T]) Head() im.Seq { return c.in.head }

// Unanswered is how many sends wait for their answers.
func (c *Core[T]) Unanswered() int { return len(c.out.live()) }

// Hold is why sending pauses: the server was too busy for a send. The caller
// calls Resume after at least the milliseconds given; attempt counts the
// holds in a row, from 1. ok is false when sending does not pause.
func (c *Core[T]) Hold() (retryAfterMS uint32, attempt int, ok bool) {
	return c.out.retryAfter, c.out.holds, c.out.held
}

// Resume ends a Hold.
func (c *Core[T]) Resume() { c.out.held, c.out.retryAfter = false, 0 }

// Abandon empties the outbox and returns the tags of the sends that were in
// it. The server may have accepted any of them.
func (c *Core[T]) Abandon() []T {
	var tags []T
	for i := range c.out.live() {
		if it := &c.out.live()[i]; !it.done && !it.filler {
			tags = append(tags, it.tag)
		}
	}
	c.out.items, c.out.head, c.out.next = nil, 0, 0
	return tags
}

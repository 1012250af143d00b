package shard

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/wire"
)

// harness drives a Core by hand: it is its host and its store, and writes
// down, in order, everything that leaves it.
type harness struct {
	t    *testing.T
	core *Core
	now  im.Millis
	// events is what left the core: "reply ...", "deliver ...", "link ...".
	events []string
	loads  []ticketed
	// timelines and resends are reads that were asked for.
	timelines []timelineRead
	resends   []resend
	disk      map[im.Addr]*saved
	epoch     im.Epoch
	sessions  im.SessionID
}

type ticketed struct {
	addr   im.Addr
	ticket uint64
}

type timelineRead struct {
	addr            im.Addr
	session         im.SessionID
	from            im.Seq
	limit, maxBytes int
}

type resend struct {
	addr, peer im.Addr
	seqs       []im.Seq
}

// saved is an entity in the harness's store.
type saved struct {
	records map[string][]byte
	log     [][]byte
	trimmed im.Seq
	pending bool
}

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.Jitter = func(int64) int64 { return 0 }
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	return cfg
}

// newHarness makes a core that owns every slot.
func newHarness(t *testing.T, adjust ...func(*Config)) *harness {
	t.Helper()
	h := &harness{t: t, now: 1_000_000, disk: map[im.Addr]*saved{}, epoch: 1}
	cfg := testConfig()
	for _, f := range adjust {
		f(&cfg)
	}
	h.core = NewCore(cfg, h)
	h.own()
	return h
}

// own gives the core every slot under the present epoch.
func (h *harness) own() {
	for s := range im.Slot(im.Slots) {
		h.core.Own(s, h.epoch)
	}
}

func (h *harness) note(format string, args ...any) {
	h.events = append(h.events, fmt.Sprintf(format, args...))
}

// drain returns what has left the core since the last call.
func (h *harness) drain() []string {
	out := h.events
	h.events = nil
	return out
}

// expect fails unless exactly these events have left the core.
func (h *harness) expect(want ...string) {
	h.t.Helper()
	if got := h.drain(); !slices.Equal(got, want) {
		h.t.Fatalf("left the core:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (h *harness) Forward(m *entity.Message) {
	if m.Seq == 0 {
		h.note("ack %v to %v: %d", m.From, m.To, m.Ack)
		return
	}
	h.note("link %v to %v: %d", m.From, m.To, m.Seq)
}

func (h *harness) Load(a im.Addr, ticket uint64) { h.loads = append(h.loads, ticketed{a, ticket}) }

func (h *harness) ReadTimeline(a im.Addr, s im.SessionID, from im.Seq, limit, maxBytes int) {
	h.timelines = append(h.timelines, timelineRead{a, s, from, limit, maxBytes})
}

func (h *harness) ReadEntries(a, peer im.Addr, seqs []im.Seq) {
	h.resends = append(h.resends, resend{a, peer, seqs})
}

// load answers every load from the store.
func (h *harness) load() {
	h.t.Helper()
	loads := h.loads
	h.loads = nil
	for _, l := range loads {
		ent, err := LoadEntity(h.stored(l.addr), l.addr)
		h.core.Loaded(h.now, l.addr, l.ticket, ent, err)
	}
}

func (h *harness) stored(a im.Addr) func(func([]im.Record) im.Seq) (store.Entity, error) {
	return func(tail func([]im.Record) im.Seq) (store.Entity, error) {
		s := h.saved(a)
		var e store.Entity
		for _, key := range slices.Sorted(maps.Keys(s.records)) {
			e.Records = append(e.Records, im.Record{Key: key, Value: s.records[key]})
		}
		e.Tail = s.read(tail(e.Records)+1, len(s.log), 1<<30)
		return e, nil
	}
}

func (h *harness) saved(a im.Addr) *saved {
	s := h.disk[a]
	if s == nil {
		s = &saved{records: map[string][]byte{}}
		h.disk[a] = s
	}
	return s
}

func (s *saved) read(from im.Seq, limit, maxBytes int) []im.LogEntry {
	var out []im.LogEntry
	size := 0
	for seq := max(from, s.trimmed+1); int(seq) <= len(s.log) && len(out) < limit && size <= maxBytes; seq++ {
		out = append(out, im.LogEntry{Seq: seq, Value: s.log[seq-1]})
		size += len(s.log[seq-1])
	}
	return out
}

// readTimelines answers every read of a timeline.
func (h *harness) readTimelines() {
	reads := h.timelines
	h.timelines = nil
	for _, r := range reads {
		h.core.TimelineRead(h.now, r.addr, r.session, h.saved(r.addr).read(r.from, r.limit, r.maxBytes), nil)
	}
}

// readEntries answers every read of entries to be sent again.
func (h *harness) readEntries() {
	reads := h.resends
	h.resends = nil
	for _, r := range reads {
		var entries []im.LogEntry
		for _, seq := range r.seqs {
			entries = append(entries, h.saved(r.addr).read(seq, 1, 1)...)
		}
		h.core.EntriesRead(h.now, r.addr, r.peer, entries)
	}
}

// apply makes a batch durable.
func (h *harness) apply(b *Batch) {
	h.t.Helper()
	for _, ch := range b.Changes.Changes {
		s := h.saved(ch.Addr)
		if len(ch.Append) > 0 && int(ch.First) != len(s.log)+1 {
			h.t.Fatalf("%v: entry %d is appended after %d", ch.Addr, ch.First, len(s.log))
		}
		s.log = append(s.log, ch.Append...)
		s.trimmed = max(s.trimmed, max(ch.Trim, 1)-1)
		for _, r := range ch.Put {
			s.records[r.Key] = r.Value
		}
		for _, key := range ch.Delete {
			delete(s.records, key)
		}
		if ch.Pending != store.Keep {
			s.pending = ch.Pending == store.Set
		}
	}
}

// cut takes the batch being filled, which there must be.
func (h *harness) cut() *Batch {
	h.t.Helper()
	b := h.core.Cut()
	if b == nil {
		h.t.Fatal("there is no batch to cut")
	}
	return b
}

// commit makes what there is durable, until nothing is left to commit.
func (h *harness) commit() {
	h.t.Helper()
	for b := h.core.Cut(); b != nil; b = h.core.Cut() {
		h.apply(b)
		h.core.Done(h.now, b, nil)
	}
}

// do hands in a command; its completion is noted under the given name.
func (h *harness) do(name string, to im.Addr, cmd im.Command) {
	h.core.Handle(h.now, Input{To: to, Cmd: cmd, Done: im.CompletionFunc(func(_ im.Command, res im.Result, err error) {
		h.note("reply %s%s", name, outcome(res, err))
	})})
}

func outcome(res im.Result, err error) string {
	if err != nil {
		return ": " + im.KindOf(err).String()
	}
	switch r := res.(type) {
	case *im.Sent:
		return fmt.Sprintf(": seq %d shown %v", r.Seq, r.InTimeline)
	case *im.Attached:
		return fmt.Sprintf(": head %d cursor %d", r.Head, r.Cursor)
	}
	return ""
}

// finish lets everything that was asked for happen.
func (h *harness) finish() {
	h.t.Helper()
	for len(h.loads)+len(h.timelines)+len(h.resends) > 0 || len(h.core.fill.parts) > 0 {
		h.load()
		h.commit()
		h.readTimelines()
		h.readEntries()
	}
}

// befriend makes users who are all friends, with a device each.
func (h *harness) befriend(users ...im.UserID) {
	h.t.Helper()
	for _, u := range users {
		friends := slices.DeleteFunc(slices.Clone(users), func(f im.UserID) bool { return f == u })
		h.do("provision", im.User(u), &im.Provision{Friends: friends, TokenHashes: [][32]byte{{1}, {2}}})
	}
	h.finish()
	h.drain()
}

func text(s string) im.Content { return im.Content{Type: im.ContentText, Body: []byte(s)} }

// send hands in a message of a user's device 1.
func (h *harness) send(from, to im.UserID, cs im.ClientSeq, session im.SessionID) {
	h.do(fmt.Sprintf("send %d", cs), im.User(from), &im.Send{To: to, Device: 1, ClientSeq: cs, Session: session,
		Content: text(fmt.Sprint("message ", cs))})
}

// link hands in message n of a link, a chat message.
func (h *harness) link(from, to im.UserID, n im.LinkSeq) {
	h.core.Handle(h.now, Input{To: im.User(to), Msg: &entity.Message{From: im.User(from), To: im.User(to), Seq: n,
		Body: entity.Body{Kind: entity.BodyMessage, PairID: uint64(n), Content: text(fmt.Sprint("link ", n))}}})
}

// attach logs a device in after a cursor.
func (h *harness) attach(u im.UserID, device im.DeviceID, cursor im.Seq) *sink {
	h.sessions++
	s := &sink{h: h, id: h.sessions, user: u, device: device}
	h.do(fmt.Sprintf("attach %d", s.id), im.User(u), &im.Attach{Device: device, TokenHash: [32]byte{byte(device)},
		Cursor: &cursor, Session: s.id, Sink: s})
	return s
}

// resume attaches a session that continues another.
func (h *harness) resume(u im.UserID, device im.DeviceID, from im.Resume, login im.Millis) *sink {
	h.sessions++
	s := &sink{h: h, id: h.sessions, user: u, device: device}
	h.do(fmt.Sprintf("attach %d", s.id), im.User(u), &im.Attach{Device: device, TokenHash: [32]byte{byte(device)},
		Resume: &from, Login: login, Session: s.id, Sink: s})
	return s
}

// sink is a session's end.
type sink struct {
	h      *harness
	id     im.SessionID
	user   im.UserID
	device im.DeviceID
	got    []string
}

func (s *sink) Deliver(first, last im.Seq, entries [][]byte) {
	s.h.note("deliver %d: %d..%d", s.id, first, last)
	if len(entries) == 1 && s.gone(last, entries[0]) {
		return
	}
	for i, b := range entries {
		var e wire.Entry
		if err := e.Unmarshal(b); err != nil || e.Seq != first+im.Seq(i) {
			s.h.t.Fatalf("session %d: entry %d is delivered as %+v (%v)", s.id, int(first)+i, e, err)
		}
		s.got = append(s.got, string(e.Content.Body))
	}
	if int(last-first)+1 != len(entries) {
		s.h.t.Fatalf("session %d: %d..%d has %d entries", s.id, first, last, len(entries))
	}
}

// gone takes a word that what is before an entry, and the entry, are not kept.
func (s *sink) gone(last im.Seq, entry []byte) bool {
	var e wire.Entry
	if err := e.Unmarshal(entry); err != nil || e.Kind != wire.EntryGone {
		return false
	}
	if e.Seq != last {
		s.h.t.Fatalf("session %d: up to %d is gone, delivered as %d", s.id, e.Seq, last)
	}
	s.got = append(s.got, fmt.Sprintf("gone up to %d", last))
	return true
}

func (s *sink) Kick(code im.CloseCode, _ string) { s.h.note("kick %d: %d", s.id, code) }

func (s *sink) ack(seq im.Seq) {
	s.h.do("ack", im.User(s.user), &im.AckDelivered{Device: s.device, Session: s.id, Seq: seq})
}

package entity

import (
	"maps"
	"slices"

	"github.com/skein-im/skein/internal/im"
)

// tester is what *testing.T and *rapid.T share.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// actor is a user with a store of its own. What a call brings is durable at
// once; messages stay in out until somebody takes them.
type actor struct {
	t    tester
	addr im.Addr
	ent  Entity
	now  im.Millis
	// retain is how much of the log is kept.
	retain Retention
	// generation is the store's.
	generation im.Generation
	// records, log and pending are what the store has; of the log it lacks the
	// entries up to trimmed.
	records map[string][]byte
	log     [][]byte
	trimmed im.Seq
	pending bool
	out     []*Message
	kicks   []Kick
	reads   []Read
	visible [][]byte
	// rewound is what was counted.
	rewound Rewound
}

func newActor(t tester, a im.Addr) *actor {
	t.Helper()
	act := &actor{t: t, addr: a, now: 1_700_000_000_000, records: map[string][]byte{}}
	act.restart()
	return act
}

// newUserActor is a user that exists, with friends and two devices, whose
// tokens are {1} and {2}.
func newUserActor(t tester, id im.UserID, friends ...im.UserID) *actor {
	t.Helper()
	a := newActor(t, im.User(id))
	a.must(&im.Provision{Friends: friends, TokenHashes: [][32]byte{{1}, {2}}})
	return a
}

func (a *actor) user() *user { return a.ent.(*user) }

// call runs f on the entity and takes over what it brought.
func (a *actor) call(f func(tx *Tx)) {
	a.t.Helper()
	tx := &Tx{Now: a.now, Jitter: func(int64) int64 { return 0 }, Durable: im.Seq(len(a.log)), Self: a.addr, Retain: a.retain, Generation: a.generation}
	f(tx)
	if n := len(tx.Append); n > 0 && tx.First == tx.Trim {
		a.log, a.visible = make([][]byte, tx.First-1), make([][]byte, tx.First-1)
	} else if n > 0 && tx.First != im.Seq(len(a.log))+1 {
		a.t.Fatalf("%v: entry %d is appended after %d", a.addr, tx.First, len(a.log))
	}
	for _, l := range tx.Append {
		a.log = append(a.log, l.Value)
		a.visible = append(a.visible, l.Visible)
	}
	if tx.Trim != 0 {
		if tx.Trim-1 <= a.trimmed {
			a.t.Fatalf("%v: trimmed up to %d after %d", a.addr, tx.Trim-1, a.trimmed)
		}
		a.trimmed = tx.Trim - 1
	}
	for _, r := range tx.Put {
		a.records[r.Key] = r.Value
	}
	for _, key := range tx.Delete {
		delete(a.records, key)
	}
	if tx.Mark != KeepMark {
		a.pending = tx.Mark == SetMark
	}
	a.out = append(a.out, tx.Messages...)
	a.kicks = append(a.kicks, tx.Kicks...)
	a.reads = append(a.reads, tx.Reads...)
	a.rewound.Add(&tx.Rewound)
}

func (a *actor) do(cmd im.Command) (res im.Result, err error) {
	a.t.Helper()
	a.call(func(tx *Tx) { res, err = a.ent.Handle(tx, cmd) })
	return res, err
}

func (a *actor) must(cmd im.Command) im.Result {
	a.t.Helper()
	res, err := a.do(cmd)
	if err != nil {
		a.t.Fatalf("%v: %T: %v", a.addr, cmd, err)
	}
	return res
}

// refuses fails unless a command is refused with a kind.
func (a *actor) refuses(cmd im.Command, kind im.ErrorKind) {
	a.t.Helper()
	if res, err := a.do(cmd); im.KindOf(err) != kind {
		a.t.Fatalf("%v: %T is answered with %+v, %v; want %v", a.addr, cmd, res, err, kind)
	}
}

func (a *actor) receive(m *Message) {
	a.t.Helper()
	a.call(func(tx *Tx) { a.ent.Receive(tx, m) })
}

// snapshot writes one.
func (a *actor) snapshot() { a.call(a.ent.Snapshot) }

// advance lets time pass and timers run, and answers the reads they bring.
func (a *actor) advance(ms im.Millis) {
	a.now += ms
	a.call(a.ent.Timer)
	a.read()
}

// read answers the reads that were asked for.
func (a *actor) read() {
	reads := a.reads
	a.reads = nil
	for _, r := range reads {
		var entries []im.LogEntry
		for _, seq := range r.Seqs {
			if seq <= a.trimmed {
				continue // acknowledged meanwhile
			}
			entries = append(entries, im.LogEntry{Seq: seq, Value: a.log[seq-1]})
		}
		a.call(func(tx *Tx) { a.ent.Resend(tx, r.Peer, entries) })
	}
}

// restart loads the entity from the store.
func (a *actor) restart() {
	a.t.Helper()
	a.ent = a.load()
	a.reads = nil
	a.call(a.ent.Start)
}

// load makes another entity of what the store has.
func (a *actor) load() Entity {
	a.t.Helper()
	ent, err := New(a.addr)
	if err != nil {
		a.t.Fatalf("%v", err)
	}
	var recs []im.Record
	for _, key := range slices.Sorted(maps.Keys(a.records)) {
		recs = append(recs, im.Record{Key: key, Value: a.records[key]})
	}
	seq, err := ent.Restore(recs)
	if err != nil {
		a.t.Fatalf("%v: %v", a.addr, err)
	}
	if seq < a.trimmed {
		a.t.Fatalf("%v: the snapshot includes %d entries, and %d are gone", a.addr, seq, a.trimmed)
	}
	for i := int(seq); i < len(a.log); i++ {
		if err := ent.Replay(im.LogEntry{Seq: im.Seq(i + 1), Value: a.log[i]}); err != nil {
			a.t.Fatalf("%v: %v", a.addr, err)
		}
	}
	return ent
}

// take returns the messages that were sent, without acks.
func (a *actor) take() []*Message {
	out := slices.DeleteFunc(a.out, func(m *Message) bool { return m.Seq == 0 })
	a.out = nil
	return out
}

// exchange carries messages between actors until nobody has any.
func exchange(actors ...*actor) {
	for quiet := false; !quiet; {
		quiet = true
		for _, a := range actors {
			out := a.out
			a.out = nil
			for _, m := range out {
				quiet = false
				for _, b := range actors {
					if b.addr == m.To {
						b.receive(m)
					}
				}
			}
		}
	}
}

func text(s string) im.Content { return im.Content{Type: im.ContentText, Body: []byte(s)} }

func send(to im.UserID, cs im.ClientSeq, body string) *im.Send {
	return &im.Send{To: to, Device: 1, ClientSeq: cs, Content: text(body)}
}

func contact(op im.ContactOp, peer im.UserID) *im.Contact { return &im.Contact{Op: op, Peer: peer} }

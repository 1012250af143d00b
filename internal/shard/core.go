package shard

import (
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Host is what a Core asks of its surroundings. Calls return at once and do
// not call back into the Core.
type Host interface {
	// Forward carries a link message towards its entity, or loses it.
	Forward(m *entity.Message)
	// Load reads an entity from the store; the answer is Core.Loaded with
	// the same ticket.
	Load(a im.Addr, ticket uint64)
	// ReadTimeline reads log entries for a session; the answer is
	// Core.TimelineRead.
	ReadTimeline(a im.Addr, s im.SessionID, from im.Seq, limit, maxBytes int)
	// ReadEntries reads single log entries to send to a peer again; the
	// answer is Core.EntriesRead.
	ReadEntries(a im.Addr, peer im.Addr, seqs []im.Seq)
}

// Core owns entities. Calls must not overlap.
type Core struct {
	cfg   Config
	host  Host
	cells map[im.Addr]*cell
	// epochs of the slots owned; 0: not owned.
	epochs [im.Slots]im.Epoch
	// leaving are those of them that are being handed over, and leaves when
	// that is done.
	leaving [im.Slots]bool
	leaves  []leave
	now     im.Millis
	tx      entity.Tx
	// logged and put are how many entries and records the Tx had when the
	// call began.
	logged, put int

	fill, flight *batch
	// parked counts inputs that wait for a load, parkedBytes their bytes.
	parked, parkedBytes int
	timers              timerHeap
	alarms              alarms
	flush               cellQueue
	hurry               hurry
	// idle are the entities without sessions, attached those with some.
	idle, attached cellList
	// outbox knows how long link messages have been waiting for acks.
	outbox outbox
	// stayed counts the entities in a row that could not be put out;
	// evictAt is when to look again after all could not.
	stayed  int
	evictAt im.Millis
	// Stats counts what the Core has done.
	Stats Stats
}

// cell is an entity's place in memory.
type cell struct {
	addr  im.Addr
	ent   entity.Entity
	ready bool
	// ticket names the load that counts: an answer to an earlier one could
	// be from before another node owned the slot.
	ticket uint64
	// owes: the entity has messages to send, so it is loaded even if nobody
	// asks for it.
	owes bool
	// parked waits for the entity to be loaded.
	parked []Input
	// durable is the last log sequence surely in the store, trimmed the last
	// one that surely is no longer.
	durable  im.Seq
	trimmed  im.Seq
	fill     *part
	flight   *part
	sessions []*session

	// owed is how many of the entity's link messages are counted as
	// unacknowledged.
	owed int32

	timerAt  im.Millis
	timerPos int
	flushAt  im.Millis
	gone     bool
	links    cellLinks
}

// NewCore makes a Core that owns no slot.
func NewCore(cfg Config, host Host) *Core {
	c := &Core{cfg: cfg, host: host, cells: map[im.Addr]*cell{}, fill: &batch{}}
	c.tx.Jitter, c.tx.Retain, c.tx.Generation = cfg.Jitter, cfg.Retain, cfg.Generation
	return c
}

// Own makes the Core serve a slot under an epoch. What it has of the slot
// from an earlier epoch is forgotten: another node may have served it since.
func (c *Core) Own(slot im.Slot, epoch im.Epoch) {
	c.OwnAll([]im.Slot{slot}, []im.Epoch{epoch})
}

// OwnAll is Own for many slots. It looks at what is in memory once.
func (c *Core) OwnAll(slots []im.Slot, epochs []im.Epoch) {
	var earlier []im.Slot
	for i, slot := range slots {
		if old := c.epochs[slot]; old != 0 && old != epochs[i] {
			earlier = append(earlier, slot)
		}
	}
	if len(earlier) > 0 {
		c.Drop(earlier, errNotOwner())
	}
	for i, slot := range slots {
		c.epochs[slot] = epochs[i]
	}
}

// Owns reports whether the Core serves a slot.
func (c *Core) Owns(slot im.Slot) bool { return c.epochs[slot] != 0 }

// errNotOwner sends the caller back to ask who owns the slot now.
func errNotOwner() *im.Error {
	return &im.Error{Kind: im.Unavailable, RetryAfterMS: 100, Detail: "the mailbox is moving to another node", Elsewhere: true}
}

// elsewhere is errNotOwner with what is known of the owner of a slot.
func (c *Core) elsewhere(slot im.Slot) error {
	err := errNotOwner()
	if c.cfg.OwnerOf != nil {
		err.Owner = c.cfg.OwnerOf(slot)
	}
	return err
}

// Handle applies one input, or parks it until its entity is loaded.
func (c *Core) Handle(now im.Millis, in Input) {
	c.now = now
	if slot := in.To.Slot(); !c.Owns(slot) || c.leaving[slot] && !ends(&in) {
		c.refuse(&in, c.elsewhere(slot))
		return
	}
	cl := c.cell(in.To)
	if cl == nil {
		c.refuse(&in, im.Errorf(im.Invalid, "there are no entities of %s", in.To.Kind))
		return
	}
	if !cl.ready {
		c.park(cl, in)
		return
	}
	c.apply(cl, in)
}

// Wake loads an entity that has messages to send.
func (c *Core) Wake(now im.Millis, a im.Addr) {
	c.now = now
	if c.Owns(a.Slot()) {
		if cl := c.cell(a); cl != nil {
			cl.owes = true
		}
	}
}

// cell returns an entity's place, starting to load it if it is new.
func (c *Core) cell(a im.Addr) *cell {
	cl := c.cells[a]
	if cl != nil {
		c.used(cl)
		return cl
	}
	if !entity.Exists(a.Kind) {
		return nil
	}
	cl = &cell{addr: a, timerPos: -1}
	c.cells[a] = cl
	c.Stats.Hot = len(c.cells)
	c.idle.add(cl)
	c.load(cl)
	return cl
}

// apply begins with one input of a loaded entity.
func (c *Core) apply(cl *cell, in Input) {
	c.started(&in)
	if id := in.trace(); id != 0 && c.cfg.Traces != nil {
		c.applyTraced(cl, &in, id)
		return
	}
	c.run(cl, in)
}

// run has a loaded entity process one input.
func (c *Core) run(cl *cell, in Input) {
	if in.Msg != nil {
		if in.Msg.Seq == 0 {
			c.Stats.Acks++
		} else {
			c.Stats.Messages++
		}
		c.do(cl, func(tx *entity.Tx) { cl.ent.Receive(tx, in.Msg) })
		return
	}
	c.Stats.Commands++
	switch cmd := in.Cmd.(type) {
	case *im.Detach:
		c.detach(cl, cmd.Session)
		c.answer(&in, nil, nil)
		return
	case *im.Redeliver:
		c.answer(&in, nil, c.redeliver(cl, cmd))
		return
	case *im.AckDelivered:
		var err error
		c.do(cl, func(tx *entity.Tx) { _, err = cl.ent.Handle(tx, cmd) })
		if err == nil {
			c.ackSession(cl, cmd)
		}
		c.answer(&in, nil, err)
		return
	}
	if err := cl.refuses(in.Cmd); err != nil {
		c.answer(&in, nil, err)
		return
	}
	tx := c.begin(cl)
	res, err := cl.ent.Handle(tx, in.Cmd)
	c.end(cl, tx, &reply{in: in, res: res, err: err, logged: len(tx.Append) > c.logged})
}

// do runs a call on an entity that nobody waits for.
func (c *Core) do(cl *cell, call func(tx *entity.Tx)) {
	tx := c.begin(cl)
	call(tx)
	c.end(cl, tx, nil)
}

func (c *Core) begin(cl *cell) *entity.Tx {
	tx := &c.tx
	tx.Now, tx.Durable, tx.Self = c.now, cl.durable, cl.addr
	tx.Trip, tx.Waited, tx.Rewound = 0, 0, entity.Rewound{}
	tx.Effects = entity.Effects{}
	if cl.fill != nil {
		tx.Effects = cl.fill.fx
	}
	c.logged, c.put = len(tx.Append), len(tx.Put)
	return tx
}

// end keeps what a call on an entity brought until it is durable; at once, if
// it rests on nothing that is not.
func (c *Core) end(cl *cell, tx *entity.Tx, r *reply) {
	st := cl.ent.Status()
	if st.Unsnapshotted >= c.cfg.SnapshotEvery {
		cl.ent.Snapshot(tx)
		st = cl.ent.Status()
	}
	reads := tx.Reads
	tx.Reads = nil
	if r != nil && r.err == nil {
		c.attachSession(cl, r)
	}
	confirm := c.cfg.Confirm && r != nil
	switch {
	case r == nil && tx.Empty():
	case cl.fill != nil || cl.flight != nil || tx.Changes() || confirm:
		p := c.part(cl)
		c.grow(p, tx)
		p.fx = tx.Effects
		p.confirm = p.confirm || confirm
		if r != nil {
			p.replies = append(p.replies, *r)
		}
	default:
		c.release(cl, &part{fx: tx.Effects}, r)
	}
	tx.Effects = entity.Effects{}
	for _, rd := range reads {
		c.Stats.Retransmitted += uint64(len(rd.Seqs))
		c.host.ReadEntries(cl.addr, rd.Peer, rd.Seqs)
	}
	c.schedule(cl, st)
	c.measure(cl, tx, st)
}

// grow accounts for what a call added to a part.
func (c *Core) grow(p *part, tx *entity.Tx) {
	n := 0
	for i := range tx.Append[c.logged:] {
		n += len(tx.Append[c.logged+i].Value)
	}
	for i := range tx.Put[c.put:] {
		n += len(tx.Put[c.put+i].Value)
	}
	p.bytes += n
	c.fill.bytes += n
}

// EntriesRead brings the log entries that Host.ReadEntries asked for; none if
// they could not be read.
func (c *Core) EntriesRead(now im.Millis, a, peer im.Addr, entries []im.LogEntry) {
	c.now = now
	if cl := c.cells[a]; cl != nil && cl.ready {
		c.do(cl, func(tx *entity.Tx) { cl.ent.Resend(tx, peer, entries) })
	}
}

// Tick runs what has come due: retransmissions and snapshots.
func (c *Core) Tick(now im.Millis) {
	c.now = now
	c.hurryOn()
	for cl := c.timers.due(now); cl != nil; cl = c.timers.due(now) {
		if !cl.ready {
			c.load(cl)
			continue
		}
		c.do(cl, func(tx *entity.Tx) { cl.ent.Timer(tx) })
	}
	for a, ok := c.alarms.due(now); ok; a, ok = c.alarms.due(now) {
		c.Wake(now, a)
	}
	for cl := c.flush.due(now); cl != nil; cl = c.flush.due(now) {
		cl.flushAt = 0
		if !cl.gone && cl.ent.Status().Dirty {
			c.do(cl, func(tx *entity.Tx) { cl.ent.Snapshot(tx) })
		}
	}
}

// NextTick is when Tick has something to do; 0: nothing is due.
func (c *Core) NextTick() im.Millis {
	next := c.timers.next()
	for _, at := range []im.Millis{c.flush.next(), c.alarms.next(), c.hurry.due} {
		if at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	return next
}

func (c *Core) schedule(cl *cell, st entity.Status) {
	if st.Due != cl.timerAt {
		c.timers.set(cl, st.Due)
	}
	if st.Dirty && cl.flushAt == 0 {
		cl.flushAt = c.now + c.cfg.FlushAfter
		c.flush.push(cl)
	}
}

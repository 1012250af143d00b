package shard

import (
	"errors"
	"slices"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// batch is what becomes durable at once.
type batch struct {
	parts []*part
	bytes int
	// traced: some part is followed; cut is when it went to the store, stored
	// when the store had answered.
	traced      bool
	cut, stored int64
}

// part is what a batch holds of one entity.
type part struct {
	cell  *cell
	fx    entity.Effects
	bytes int
	// confirm: the part is committed even if it changes nothing.
	confirm bool
	replies []reply
	// followed are the inputs that are traced.
	followed []followed
}

// reply is a command's outcome that waits for the commit.
type reply struct {
	in      Input
	res     im.Result
	err     error
	session *session
	// logged: the command has changed something, which a repeated one does not.
	logged bool
}

// Batch is a batch on its way to the store.
type Batch struct {
	inner *batch
	// Changes is what to commit; without any, the batch is durable as it
	// is.
	Changes store.Batch
}

// part returns the entity's part of the batch being filled.
func (c *Core) part(cl *cell) *part {
	if cl.fill == nil {
		cl.fill = &part{cell: cl}
		c.fill.parts = append(c.fill.parts, cl.fill)
	}
	return cl.fill
}

// maxParts is how many entities one batch may change.
const maxParts = 4096

// Full reports whether the Core should be given no more: the batch being
// filled is full, or too much waits for loads.
func (c *Core) Full() bool {
	return len(c.fill.parts) >= maxParts || c.fill.bytes >= c.cfg.MaxBatchBytes || c.waiting()
}

// Cut takes the batch being filled, if there is one and none is in the store.
func (c *Core) Cut() *Batch {
	if c.flight != nil || len(c.fill.parts) == 0 {
		return nil
	}
	b := &Batch{inner: c.fill}
	b.Changes.Changes = make([]store.Change, 0, len(c.fill.parts))
	for _, p := range c.fill.parts {
		p.cell.fill, p.cell.flight = nil, p
		if p.fx.Changes() || p.confirm {
			b.Changes.Changes = append(b.Changes.Changes, c.change(p))
		}
	}
	c.departed(c.fill)
	c.flight, c.fill = c.fill, &batch{}
	return b
}

func (c *Core) change(p *part) store.Change {
	ch := store.Change{
		Addr: p.cell.addr, Epoch: c.epochs[p.cell.addr.Slot()],
		First: p.fx.First, Trim: p.fx.Trim, Put: p.fx.Put, Delete: p.fx.Delete, Pending: store.Mark(p.fx.Mark),
	}
	if n := len(p.fx.Append); n > 0 {
		ch.Append = make([][]byte, n)
		for i := range p.fx.Append {
			ch.Append[i] = p.fx.Append[i].Value
		}
	}
	c.Stats.Entries += uint64(len(ch.Append))
	c.Stats.Records += uint64(len(ch.Put) + len(ch.Delete))
	return ch
}

// Done tells what became of a batch, and releases what is durable.
func (c *Core) Done(now im.Millis, b *Batch, err error) (lost []im.Slot) {
	c.now = now
	c.flight = nil
	c.Stats.Commits++
	defer c.finishLeaves(b.inner)
	c.Stats.BatchSize.ObserveSize(len(b.inner.parts))
	var fenced *store.SlotError
	if err != nil && !errors.As(err, &fenced) {
		return c.failAll(b, err)
	}
	for _, p := range b.inner.parts {
		if p.cell.gone {
			continue
		}
		p.cell.flight = nil
		if fenced != nil && fenced.Fenced(p.cell.addr.Slot()) {
			c.fail(p, errNotOwner())
			c.released(b.inner, p, errNotOwner())
			continue
		}
		if n := len(p.fx.Append); n > 0 {
			p.cell.durable = p.fx.First + im.Seq(n) - 1
		}
		if trim := p.fx.Trim; trim != 0 {
			c.Stats.Trimmed += uint64(trim - 1 - p.cell.trimmed)
			p.cell.trimmed = trim - 1
		}
		c.release(p.cell, p, nil)
		c.released(b.inner, p, nil)
	}
	if fenced != nil {
		c.Stats.Fenced++
		c.Drop(fenced.Slots, errNotOwner())
		return fenced.Slots
	}
	return nil
}

// failAll gives everything up: of a batch whose fate is unknown, nothing in
// memory can be trusted.
func (c *Core) failAll(b *Batch, err error) []im.Slot {
	c.Stats.CommitErrors++
	cause := &im.Error{Kind: im.Unavailable, RetryAfterMS: 1000, Detail: "the store does not take writes", Err: err}
	for _, p := range b.inner.parts {
		c.fail(p, cause)
		c.released(b.inner, p, cause)
	}
	return c.DropAll(cause)
}

// DropAll is Drop for every slot served, which it returns.
func (c *Core) DropAll(err error) []im.Slot {
	var slots []im.Slot
	for s, e := range c.epochs {
		if e != 0 {
			slots = append(slots, im.Slot(s))
		}
	}
	c.Drop(slots, err)
	return slots
}

// fail tells err to those who wait for a part.
func (c *Core) fail(p *part, err error) {
	for i := range p.replies {
		c.answer(&p.replies[i].in, nil, err)
	}
	p.replies = nil
}

// Drop stops serving slots and forgets their entities; the callers of what
// was not durable are told err.
func (c *Core) Drop(slots []im.Slot, err error) {
	var drop [im.Slots]bool
	for _, s := range slots {
		drop[s] = true
		c.epochs[s], c.leaving[s] = 0, false
	}
	for _, cl := range c.all() {
		if drop[cl.addr.Slot()] {
			c.forget(cl, err)
		}
	}
	c.alarms.drop(&drop)
	c.fill.parts = slices.DeleteFunc(c.fill.parts, func(p *part) bool {
		if p.cell.gone {
			c.fill.bytes -= p.bytes
		}
		return p.cell.gone
	})
	if len(c.fill.parts) == 0 {
		c.finishLeaves(c.fill)
	}
}

// forget takes an entity out of memory, whatever state it is in.
func (c *Core) forget(cl *cell, err error) {
	cl.gone = true
	delete(c.cells, cl.addr)
	c.Stats.Hot = len(c.cells)
	c.listOf(cl).remove(cl)
	c.timers.set(cl, 0)
	c.owes(cl, 0)
	for _, p := range []*part{cl.flight, cl.fill} {
		if p != nil {
			c.fail(p, err)
		}
	}
	for _, in := range c.unpark(cl) {
		c.refuse(&in, err)
	}
	for _, s := range cl.sessions {
		c.Stats.Sessions--
		s.sink.Kick(im.CloseUnavailable, "the mailbox is moving")
	}
	cl.sessions = nil
}

// release lets out what has become durable, in the order it happened: replies
// and deliveries interleave by sequence, so that a device that sent a message
// sees everything before it first.
func (c *Core) release(cl *cell, p *part, r *reply) {
	for i := range p.replies {
		c.releaseReply(cl, p, &p.replies[i])
	}
	if r != nil {
		c.releaseReply(cl, p, r)
	}
	for _, k := range p.fx.Kicks {
		c.kick(cl, k)
	}
	if n := len(p.fx.Append); n > 0 {
		for _, s := range cl.sessions {
			c.deliver(cl, s, p, p.fx.First+im.Seq(n)-1)
		}
	}
	for _, m := range p.fx.Messages {
		c.leave(m)
	}
}

func (c *Core) releaseReply(cl *cell, p *part, r *reply) {
	if sent, ok := r.res.(*im.Sent); ok && r.err == nil && sent.Seq != 0 {
		c.showSent(cl, p, r, sent)
	}
	if infos, ok := r.res.([]im.DeviceInfo); ok {
		cl.markOnline(infos)
	}
	if r.logged && r.err == nil {
		c.Stats.Money.count(r.res)
	}
	c.answer(&r.in, r.res, r.err)
	if r.session != nil {
		c.begun(cl, r.session)
	}
}

package shard

import (
	"errors"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// load asks the store for an entity.
func (c *Core) load(cl *cell) {
	c.Stats.Loads++
	cl.ticket = c.Stats.Loads
	c.host.Load(cl.addr, cl.ticket)
}

// loadRetry is how long after a failure an entity is loaded again.
const loadRetry = 1000

// loadFailed tells those who wait for an entity. One that owes messages is
// loaded again: nobody else would see to it.
func (c *Core) loadFailed(cl *cell, cause error) {
	c.Stats.LoadErrors++
	err := &im.Error{Kind: im.Unavailable, RetryAfterMS: loadRetry, Detail: "the mailbox cannot be read", Err: cause}
	if !cl.owes {
		c.forget(cl, err)
		return
	}
	for _, in := range c.unpark(cl) {
		c.refuse(&in, err)
	}
	c.timers.set(cl, c.now+loadRetry)
}

// Loaded brings what the store has of an entity, as Host.Load asked for:
// the restored entity, its head replayed.
func (c *Core) Loaded(now im.Millis, a im.Addr, ticket uint64, ent entity.Entity, err error) {
	c.now = now
	cl := c.cells[a]
	if cl == nil || cl.ready || cl.ticket != ticket {
		return
	}
	if err != nil {
		c.loadFailed(cl, err)
		return
	}
	cl.ent = ent
	cl.ready = true
	st := ent.Status()
	cl.durable, cl.trimmed = st.Head, st.Trimmed
	c.do(cl, func(tx *entity.Tx) { ent.Start(tx) })
	for _, in := range c.unpark(cl) {
		if cl.gone {
			c.refuse(&in, errNotOwner())
			continue
		}
		c.apply(cl, in)
	}
}

// LoadEntity reads and replays an entity; it is the body of Host.Load, apart
// from where it runs.
func LoadEntity(load func(tail func([]im.Record) im.Seq) (store.Entity, error), a im.Addr) (entity.Entity, error) {
	ent, err := entity.New(a)
	if err != nil {
		return nil, err
	}
	var damaged error
	e, err := load(func(recs []im.Record) im.Seq {
		seq, err := ent.Restore(recs)
		damaged = err
		return seq
	})
	if err = errors.Join(err, damaged); err != nil {
		return nil, err
	}
	for _, le := range e.Tail {
		if err := ent.Replay(le); err != nil {
			return nil, err
		}
	}
	return ent, nil
}

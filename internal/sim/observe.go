package sim

import (
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store"
)

// observed tells the simulator which entity a core really uses.
type observed struct {
	entity.Entity
	core *core
}

// Start implements entity.Entity.
func (o *observed) Start(tx *entity.Tx) {
	o.core.live[tx.Self] = o.Entity
	o.Entity.Start(tx)
}

// loader reads an entity as store.Store's Load does.
func (s *storage) loader(a im.Addr) func(func([]im.Record) im.Seq) (store.Entity, error) {
	return func(tail func([]im.Record) im.Seq) (store.Entity, error) { return s.load(a, tail), nil }
}

// loadEntity makes the entity that a core asked for.
func (w *world) loadEntity(c *core, a im.Addr) (entity.Entity, error) {
	ent, err := shard.LoadEntity(w.spoilLoad(a, w.store.loader(a)), a)
	if err != nil {
		return nil, err
	}
	o := &observed{ent, c}
	if w.defect == None {
		return o, nil
	}
	return newFaulty(w, a, o), nil
}

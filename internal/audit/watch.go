package audit

import (
	"context"

	"github.com/skein-im/skein/internal/im"
)

// Watch is a source that tells which slot is being read, for those who wait.
func Watch(src Source, reading func(im.Slot)) Source { return &watched{src, reading} }

type watched struct {
	Source
	reading func(im.Slot)
}

// List implements store.Lister.
func (w *watched) List(ctx context.Context, slots []im.Slot, visit func(im.Slot, []im.Addr) error) error {
	return w.Source.List(ctx, slots, func(slot im.Slot, held []im.Addr) error {
		w.reading(slot)
		return visit(slot, held)
	})
}

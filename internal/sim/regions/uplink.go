package regions

import (
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/region"
	"github.com/skein-im/skein/internal/route"
	"github.com/skein-im/skein/internal/uplink"
)

// openUplink leads to other regions over relays in processes of their own.
func (p *proc) openUplink(cfg *region.Config) {
	w := p.s.w
	var err error
	p.uplink, err = uplink.New(uplink.Config{
		Self: cfg.Self, Directory: cfg.Directory, Logger: cfg.Logger, Open: p.hurry,
		Dial: func(m cluster.Member, to im.Region, heard func(*im.Reach)) (route.Link, error) {
			for _, h := range p.s.relays {
				if h.name() == m.Node {
					return newTie(p, h, w.site(to).index, heard), nil
				}
			}
			return nil, im.Errorf(im.NotFound, "there is no relay %s", m.Node)
		},
		Now: w.time, Rand: w.rng.Int64N,
		After: func(d time.Duration, f func()) func() bool {
			stopped := false
			w.after(d, func() {
				if !stopped {
					p.enter(f)
				}
			})
			return func() bool { stopped = true; return true }
		},
	})
	if err != nil {
		w.failf("%v", err)
	}
	cfg.Far = p.uplink.Far
	cfg.Send = func(to im.Region, m *entity.Message, _ uint8) { p.uplink.Send(to, m) }
}

// hurry sends again what waits for acknowledgements.
func (p *proc) hurry() {
	w := p.s.w
	w.after(0, func() {
		p.enter(func() {
			p.core.Hurry(p.clock(), everything)
			p.wake()
		})
	})
}

// everything is all slots.
var everything = func() (list []im.Slot) {
	for s := range im.Slot(im.Slots) {
		list = append(list, s)
	}
	return list
}()

package relay

import (
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// debt is a link that has messages which were dropped here.
type debt struct{ from, to im.Addr }

// drop remembers whom a message was from, so that it need not wait for a timer
// when there is room.
func (o *outbound) drop(m *entity.Message) {
	o.stats.dropped++
	if m.Seq != 0 && len(o.owing) < o.r.cfg.MaxOwing {
		o.owing[debt{m.From, m.To}] = struct{}{}
	}
}

// Links that owe something are asked to go on payBurst at a time, so that a
// region that is back is not met by everything at once.
const (
	payEvery = 20 * time.Millisecond
	payBurst = 64
)

// owes reports whether there is somebody to ask.
func (o *outbound) owes() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.owing) > 0
}

// pay asks some of those that owe something to go on, while there is room.
func (o *outbound) pay() {
	var now []debt
	o.mu.Lock()
	if o.held < o.r.cfg.MaxQueue/2 {
		for d := range o.owing {
			if len(now) == payBurst {
				break
			}
			now = append(now, d)
			delete(o.owing, d)
		}
	}
	o.mu.Unlock()
	for _, d := range now {
		o.r.cfg.Nudge(d.from, d.to)
	}
}

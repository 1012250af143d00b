package relay

import (
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Debt is a link that has messages which were dropped here.
type Debt struct{ From, To im.Addr }

// drop remembers whom a message was from, so that it need not wait for a timer
// when there is room. The caller has the mutex.
func (o *Outgoing) drop(m *entity.Message) {
	o.stats.dropped++
	if m.Seq != 0 && len(o.owing) < o.cfg.MaxOwing {
		o.owing[Debt{m.From, m.To}] = struct{}{}
	}
}

// Links that owe something are asked to go on payBurst at a time, every PayEvery, so
// that a region that is back is not met by everything at once.
const (
	PayEvery = 20 * time.Millisecond
	payBurst = 64
)

// Owes reports whether there is somebody to ask.
func (o *Outgoing) Owes() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.owing) > 0
}

// Due takes some of those that owe something, to be asked to go on, while there is
// room.
func (o *Outgoing) Due() (now []Debt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held >= o.cfg.MaxQueue/2 {
		return nil
	}
	for d := range o.owing {
		if len(now) == payBurst {
			break
		}
		now = append(now, d)
		delete(o.owing, d)
	}
	return now
}

package mailbox

import (
	"time"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
)

// Level implements im.Leveler.
func (m *Mailbox) Level() im.Level { return m.control.Level() }

// admitRead asks whether a page may be read. Reads do not pass the queues, but
// compete with them for the store and the processor.
func (m *Mailbox) admitRead(user im.UserID) error {
	level := admit.LevelOf(admit.Reads, user, admit.Hour(m.cfg.Now()))
	if m.control.Pass(level) {
		return nil
	}
	return m.control.Overloaded(level)
}

// loadTick is how often it is looked whether the mailbox is overloaded.
const loadTick = 20 * time.Millisecond

// watchLoad ends the windows of the controller.
func (m *Mailbox) watchLoad() {
	start := time.Now()
	tick := time.NewTicker(loadTick)
	defer tick.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case now := <-tick.C:
			m.control.Tick(now.Sub(start))
		}
	}
}

package mailbox

import (
	"log/slog"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/store"
)

// place is one of the store's servers: while it is away, slots of others are acquired
// without waiting for it.
type place struct {
	name string
	// turns holds one element per running acquisition.
	turns chan struct{}

	mu sync.Mutex
	// times is how often acquisitions have failed since one succeeded, said
	// whether that was logged, told when it was last.
	times int
	said  bool
	told  time.Time
}

// places are those that were needed so far, by name.
type places struct {
	mu   *sync.Mutex
	list map[string]*place
}

func newPlaces() places { return places{new(sync.Mutex), map[string]*place{}} }

func (p places) of(name string) *place {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.list[name] == nil {
		p.list[name] = &place{name: name, turns: make(chan struct{}, acquirers)}
	}
	return p.list[name]
}

// tellEvery is how often it is logged that slots can still not be acquired, and
// tellAnew how often at most that they cannot again.
const (
	tellEvery = time.Minute
	tellAnew  = 5 * time.Second
)

// failed logs that slots of the place cannot be acquired, now and then.
func (p *place) failed(log *slog.Logger, now time.Time, err error, slots func() int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times++
	quiet := tellEvery
	if p.times == 1 {
		quiet = tellAnew
	}
	if now.Sub(p.told) < quiet {
		return
	}
	p.told, p.said = now, true
	log.Warn("slots cannot be acquired yet", "server", p.name, "slots", slots(), "attempts", p.times, "err", err)
}

// succeeded ends that.
func (p *place) succeeded(log *slog.Logger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.said {
		log.Info("slots can be acquired again", "server", p.name, "attempts", p.times)
	}
	p.times, p.said = 0, false
}

// missingAt is how many slots of a place are to be served, and are not.
func (m *Mailbox) missingAt(name string) int {
	return len(store.ByPlace(m.store, m.slots.Lacking())[name])
}

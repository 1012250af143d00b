package api

import (
	"slices"
	"sync"

	"github.com/skein-im/skein/internal/im"
)

// pollsPerDevice is how many polls one device may have waiting. One is enough;
// the others are those whose connections broke unnoticed, so a further one
// ends the oldest.
const pollsPerDevice = 4

// pollBusyMS is what a poll that got no place is told to wait.
const pollBusyMS = 5000

// deviceKey names a device among all users'.
type deviceKey struct {
	user   im.UserID
	device im.DeviceID
}

// places bounds how many long polls wait.
type places struct {
	most int

	mu       sync.Mutex
	total    int
	byDevice map[deviceKey][]*place
}

// place is held by one waiting poll, until it leaves or is ended.
type place struct {
	device deviceKey
	ended  chan struct{}
}

func newPlaces(most int) *places { return &places{most: most, byDevice: map[deviceKey][]*place{}} }

func (p *places) take(d deviceKey) (*place, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.total >= p.most {
		return nil, &im.Error{Kind: im.Busy, RetryAfterMS: pollBusyMS, Detail: "too many requests are waiting; sync without waiting"}
	}
	held := p.byDevice[d]
	if len(held) == pollsPerDevice {
		close(held[0].ended)
		held = slices.Delete(held, 0, 1)
	}
	pl := &place{device: d, ended: make(chan struct{})}
	p.byDevice[d] = append(held, pl)
	p.total++
	return pl, nil
}

// leave gives a place back, ended or not.
func (p *places) leave(pl *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total--
	held := slices.DeleteFunc(p.byDevice[pl.device], func(o *place) bool { return o == pl })
	if p.byDevice[pl.device] = held; len(held) == 0 {
		delete(p.byDevice, pl.device)
	}
}

func (p *places) taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

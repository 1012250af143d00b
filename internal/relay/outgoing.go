package relay

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// OutgoingConfig is what an Outgoing needs; the bounds are those of Config.
type OutgoingConfig struct {
	// Stream names the numbers of batches; it is one process's.
	Stream             uint64
	MaxQueue, MaxOwing int
	Grace, Patience    time.Duration
	// Pack compresses a batch, and appends it.
	Pack func(dst, raw []byte) []byte
}

// Outgoing is what a relay has for one other region. It has no clock, no connection
// and no goroutines: who has those says what happens, and sends what it returns. It may
// be used by several at a time.
type Outgoing struct {
	cfg OutgoingConfig

	mu sync.Mutex
	up bool
	// since is when up changed last, cause why it is not.
	since time.Time
	cause error
	// waiting are batches to be, in the making the last; sent are those that
	// are not confirmed; held is the bytes of both.
	waiting [][]byte
	counts  []uint64
	sent    []Batch
	held    int
	// progress is when sent was confirmed from last, or was empty.
	progress time.Time
	next     uint64
	owing    map[Debt]struct{}
	places   Places
	stats    struct{ sent, batches, bytes, raw, dropped uint64 }
}

// Batch is one to be sent, as a frame.
type Batch struct {
	Number uint64
	Frame  []byte
}

// NewOutgoing makes an Outgoing without a connection.
func NewOutgoing(cfg OutgoingConfig, now time.Time) *Outgoing {
	return &Outgoing{cfg: cfg, next: 1, since: now, owing: map[Debt]struct{}{}}
}

// Put takes a message, or drops it: when there is no room, or no connection for
// so long that entities had better keep what they have. wake: there is something to
// Take that was not there before.
func (o *Outgoing) Put(now time.Time, m *entity.Message, hops uint8) (wake bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held >= o.cfg.MaxQueue || !o.up && now.Sub(o.since) > o.cfg.Grace {
		o.drop(m)
		return false
	}
	last := len(o.waiting) - 1
	if last < 0 || len(o.waiting[last]) >= maxBatch {
		o.waiting, o.counts = append(o.waiting, nil), append(o.counts, 0)
		last++
	}
	before := len(o.waiting[last])
	o.waiting[last] = appendMessage(o.waiting[last], m, hops)
	o.counts[last]++
	o.held += len(o.waiting[last]) - before
	return before == 0
}

// Take makes the next batch of what waits.
func (o *Outgoing) Take(now time.Time) (Batch, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return Batch{}, false
	}
	raw, count := o.waiting[0], o.counts[0]
	o.waiting, o.counts = o.waiting[1:], o.counts[1:]
	payload := o.cfg.Pack(binary.AppendUvarint(nil, o.next), raw)
	b := Batch{o.next, wire.AppendFrame(nil, typeBatch, payload)}
	o.next++
	o.held += len(b.Frame) - len(raw)
	if len(o.sent) == 0 {
		o.progress = now
	}
	o.sent = append(o.sent, b)
	o.stats.sent += count
	o.stats.batches++
	o.stats.bytes += uint64(len(b.Frame))
	o.stats.raw += uint64(len(raw))
	return b, true
}

// Began notes that there is a connection, to a relay that has received batches up to
// a number, and returns those to send again.
func (o *Outgoing) Began(now time.Time, received uint64, places Places) (repeat []Batch) {
	o.Confirm(now, received)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.up, o.since, o.cause, o.places = true, now, nil, places
	o.progress = now
	return append(repeat, o.sent...)
}

// Ended notes that there is no connection, and why; was: there was one.
func (o *Outgoing) Ended(now time.Time, err error) (was bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if was = o.up; was {
		o.up, o.since = false, now
	}
	o.cause = err
	return was
}

// Confirm lets go of batches that have arrived. wake: somebody may be asked to go on.
func (o *Outgoing) Confirm(now time.Time, number uint64) (wake bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for n < len(o.sent) && o.sent[n].Number <= number {
		o.held -= len(o.sent[n].Frame)
		n++
	}
	if n > 0 {
		o.progress = now
	}
	o.sent = append(o.sent[:0], o.sent[n:]...)
	return len(o.owing) > 0
}

// Overdue reports whether the other end has confirmed nothing for too long of
// what it was sent.
func (o *Outgoing) Overdue(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.up && len(o.sent) > 0 && now.Sub(o.progress) > o.cfg.Patience
}

// Reach says how it stands with the region.
func (o *Outgoing) Reach() im.Reach {
	o.mu.Lock()
	defer o.mu.Unlock()
	return im.Reach{Up: o.up, Links: o.places.Links, HTTP: o.places.HTTP, Alike: o.places.Alike}
}

// setPlaces takes the region's new addresses.
func (o *Outgoing) setPlaces(p Places) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.places = p
}

// status is how it stands, without names and addresses.
func (o *Outgoing) status() Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := Status{
		Up: o.up, Since: o.since, Queued: o.held, Owing: len(o.owing),
		Sent: o.stats.sent, SentBatches: o.stats.batches, SentBytes: o.stats.bytes, RawBytes: o.stats.raw,
		Dropped: o.stats.dropped, Links: o.places.Links, HTTP: o.places.HTTP,
	}
	if o.cause != nil {
		s.Cause = o.cause.Error()
	}
	return s
}

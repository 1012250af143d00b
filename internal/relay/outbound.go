package relay

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// outbound carries messages to one other region.
type outbound struct {
	r  *Relay
	to im.Region
	// addrs are those of the region's relays; at counts those that were out of
	// reach, so that the next one is tried.
	addrs []string
	at    atomic.Uint64
	// stream names the numbers of batches; it is one process's.
	stream uint64
	pack   *packer
	wake   chan struct{}

	mu sync.Mutex
	up bool
	// since is when up changed last, cause why it is not.
	since time.Time
	cause error
	// waiting are batches to be, in the making the last; sent are those that
	// are not confirmed; held is the bytes of both.
	waiting [][]byte
	counts  []uint64
	sent    []batch
	held    int
	// progress is when sent was confirmed from last, or was empty.
	progress time.Time
	next     uint64
	owing    map[debt]struct{}
	places   Places
	stats    struct{ sent, batches, bytes, raw, dropped uint64 }
}

// batch is one that was sent.
type batch struct {
	number uint64
	frame  []byte
}

func newOutbound(r *Relay, to im.Region, addrs []string) (*outbound, error) {
	pack, err := newPacker()
	if err != nil {
		return nil, err
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	o := &outbound{
		r: r, to: to, addrs: addrs, stream: binary.BigEndian.Uint64(b[:]) | 1, pack: pack, next: 1,
		wake: make(chan struct{}, 1), since: time.Now(), owing: map[debt]struct{}{},
	}
	// The relays of a region do not all begin with the same one.
	o.at.Store(uint64(spread(int64(len(addrs)))))
	return o, nil
}

// addr is the address to connect to.
func (o *outbound) addr() string { return o.addrs[o.at.Load()%uint64(len(o.addrs))] }

// dial connects to one of the region's relays; the next attempt is for another
// one if that fails.
func (o *outbound) dial(ctx context.Context, proto string) (net.Conn, error) {
	at := o.at.Load()
	nc, err := o.r.dial(ctx, o.to, o.addrs[at%uint64(len(o.addrs))], proto)
	if err != nil {
		o.at.CompareAndSwap(at, at+1)
	}
	return nc, err
}

// put takes a message, or drops it: when there is no room, or no connection for
// so long that entities had better keep what they have.
func (o *outbound) put(m *entity.Message, hops uint8) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held >= o.r.cfg.MaxQueue || !o.up && time.Since(o.since) > o.r.cfg.Grace {
		o.drop(m)
		return
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
	if before == 0 {
		o.nudge()
	}
}

func (o *outbound) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Attempts to connect are so far apart, doubling, spread from half to one and a
// half times.
const (
	minReconnect = 50 * time.Millisecond
	maxReconnect = 2 * time.Second
	// complainEvery is how often it is logged that a region is out of reach.
	complainEvery = time.Minute
)

// run keeps a connection up until the Relay stops.
func (o *outbound) run() {
	defer o.pack.close()
	var complained time.Time
	for attempt := 0; o.r.ctx.Err() == nil; attempt++ {
		carried, err := o.connect()
		o.down(err)
		if carried {
			attempt, complained = 0, time.Time{}
		}
		if o.r.ctx.Err() != nil {
			return
		}
		if time.Since(complained) >= complainEvery {
			complained = time.Now()
			o.r.cfg.Logger.Warn("relay down", "region", string(o.to), "next", o.addr(), "err", err)
		}
		wait := min(minReconnect<<min(attempt, 10), maxReconnect)
		wait = wait/2 + time.Duration(spread(int64(wait)))
		select {
		case <-time.After(wait):
		case <-o.r.ctx.Done():
		}
	}
}

// spread is a number in [0, n).
func spread(n int64) int64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return int64(binary.BigEndian.Uint64(b[:])>>1) % n
}

// connect makes a connection and carries messages over it until it ends.
func (o *outbound) connect() (carried bool, err error) {
	nc, err := o.dial(o.r.ctx, protoMessages)
	if err != nil {
		return false, err
	}
	stop := make(chan struct{})
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer close(stop)
	defer nc.Close()
	tasks.Go(func() { o.watch(nc, stop) })
	in := wire.NewReader(nc, maxGreeting)
	repeat, err := o.greet(nc, &in)
	if err != nil {
		return false, err
	}
	o.r.cfg.Logger.Info("relay up", "region", string(o.to), "addr", nc.RemoteAddr().String())
	paced := wire.Paced{Conn: nc, Pause: 3 * o.r.cfg.Heartbeat}
	in.Reset(paced, maxGreeting)
	ended := make(chan error, 1)
	tasks.Go(func() { ended <- o.listen(&in) })
	return true, o.write(paced, repeat, ended)
}

// watch ends a connection when the Relay stops, or when nothing is confirmed.
func (o *outbound) watch(nc net.Conn, stop <-chan struct{}) {
	tick := time.NewTicker(max(o.r.cfg.Patience/10, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-o.r.ctx.Done():
		case now := <-tick.C:
			if !o.overdue(now) {
				continue
			}
			o.r.cfg.Logger.Warn("a relay confirms nothing", "region", string(o.to), "addr", nc.RemoteAddr().String())
		case <-stop:
			return
		}
		nc.Close()
		return
	}
}

// overdue reports whether the other end has confirmed nothing for too long of
// what it was sent.
func (o *outbound) overdue(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.up && len(o.sent) > 0 && now.Sub(o.progress) > o.r.cfg.Patience
}

// greet says hello, and returns the batches that have not arrived.
func (o *outbound) greet(nc net.Conn, in *wire.Reader) (repeat []batch, err error) {
	_ = nc.SetDeadline(time.Now().Add(o.r.cfg.HandshakeTimeout))
	hello := greeting{version: version, stream: o.stream, places: *o.r.places.Load()}
	if _, err := nc.Write(wire.AppendFrame(nil, typeHello, hello.append(nil))); err != nil {
		return nil, err
	}
	t, payload, err := in.Frame(maxGreeting)
	if err != nil {
		return nil, err
	}
	welcome, err := readGreeting(payload)
	if err != nil || t != typeWelcome {
		return nil, im.Errorf(im.Invalid, "the relay of region %s answers with something else", o.to)
	}
	_ = nc.SetDeadline(time.Time{})
	o.confirm(welcome.received)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.up, o.since, o.cause, o.places = true, time.Now(), nil, welcome.places
	o.progress = o.since
	return append(repeat, o.sent...), nil
}

// down notes the end of a connection.
func (o *outbound) down(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.up {
		o.up, o.since = false, time.Now()
		// Another relay may be there while this one is not.
		o.at.Add(1)
	}
	o.cause = err
}

// confirm lets go of batches that have arrived.
func (o *outbound) confirm(number uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for n < len(o.sent) && o.sent[n].number <= number {
		o.held -= len(o.sent[n].frame)
		n++
	}
	if n > 0 {
		o.progress = time.Now()
	}
	o.sent = append(o.sent[:0], o.sent[n:]...)
	if len(o.owing) > 0 {
		o.nudge()
	}
}

// listen reads what the other end confirms.
func (o *outbound) listen(in *wire.Reader) error {
	for {
		t, payload, err := in.Frame(maxGreeting)
		if err != nil {
			return err
		}
		switch t {
		case typeAck:
		case typePlaces:
			if err := o.moved(payload); err != nil {
				return err
			}
			continue
		default:
			continue
		}
		number, n := binary.Uvarint(payload)
		if n <= 0 {
			return im.Errorf(im.Invalid, "malformed confirmation")
		}
		o.confirm(number)
	}
}

// moved takes the region's new addresses.
func (o *outbound) moved(payload []byte) error {
	g, err := readGreeting(payload)
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.places = g.places
	o.mu.Unlock()
	o.r.cfg.Logger.Info("the addresses of a region have changed", "region", string(o.to), "links", g.places.Links, "http", g.places.HTTP)
	return nil
}

// write sends what waits, until the connection ends.
func (o *outbound) write(nc io.Writer, repeat []batch, ended <-chan error) error {
	beat := time.NewTicker(o.r.cfg.Heartbeat)
	defer beat.Stop()
	pay := time.NewTicker(payEvery)
	defer pay.Stop()
	for _, b := range repeat {
		if _, err := nc.Write(b.frame); err != nil {
			return err
		}
	}
	for {
		for b, ok := o.take(); ok; b, ok = o.take() {
			if _, err := nc.Write(b.frame); err != nil {
				return err
			}
		}
		// An idle connection is woken for heartbeats only.
		var due <-chan time.Time
		if o.owes() {
			due = pay.C
		}
		select {
		case <-o.wake:
		case <-due:
			o.pay()
		case <-beat.C:
			if _, err := nc.Write(wire.AppendPing(nil)); err != nil {
				return err
			}
		case err := <-ended:
			return err
		}
	}
}

// take makes the next batch of what waits.
func (o *outbound) take() (batch, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return batch{}, false
	}
	raw, count := o.waiting[0], o.counts[0]
	o.waiting, o.counts = o.waiting[1:], o.counts[1:]
	payload := o.pack.pack(binary.AppendUvarint(nil, o.next), raw)
	b := batch{o.next, wire.AppendFrame(nil, typeBatch, payload)}
	o.next++
	o.held += len(b.frame) - len(raw)
	if len(o.sent) == 0 {
		o.progress = time.Now()
	}
	o.sent = append(o.sent, b)
	o.stats.sent += count
	o.stats.batches++
	o.stats.bytes += uint64(len(b.frame))
	o.stats.raw += uint64(len(raw))
	return b, true
}

func (o *outbound) status() Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := Status{
		Region: o.to, Addr: o.addr(), Up: o.up, Since: o.since, Queued: o.held, Owing: len(o.owing),
		Sent: o.stats.sent, SentBatches: o.stats.batches, SentBytes: o.stats.bytes, RawBytes: o.stats.raw,
		Dropped: o.stats.dropped, Links: o.places.Links, HTTP: o.places.HTTP,
	}
	if o.cause != nil {
		s.Cause = o.cause.Error()
	}
	return s
}

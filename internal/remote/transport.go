package remote

import (
	"cmp"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Heartbeat says when the other end of a link counts as dead. Zero values mean
// the defaults.
type Heartbeat struct {
	// Every is after how much silence the other end is asked whether it is
	// there.
	Every time.Duration
	// Dead is how long it may be silent while something waits for it, and
	// how long a write may make no progress.
	Dead time.Duration
	// Idle is how long it may be silent otherwise.
	Idle time.Duration
}

// Defaults of Heartbeat.
const (
	DefaultEvery = 2 * time.Second
	DefaultDead  = 6 * time.Second
	DefaultIdle  = 10 * time.Second
)

func (h Heartbeat) withDefaults() Heartbeat {
	h.Every = cmp.Or(h.Every, DefaultEvery)
	h.Dead = cmp.Or(h.Dead, DefaultDead)
	h.Idle = cmp.Or(h.Idle, DefaultIdle)
	return h
}

const (
	// busyTick is how often a link in use looks after what is due.
	busyTick = 100 * time.Millisecond
	// keepBuffer is the largest write buffer that is kept.
	keepBuffer = 1 << 20
)

var errSilent = im.Errorf(im.Unavailable, "the other end of the role link is silent")

// transport moves frames over a connection, in one goroutine that reads and
// one that writes. It is the same at both ends.
type transport struct {
	in   inbox
	beat Heartbeat
	wake chan struct{}

	// ping and pong: one is to be sent.
	ping, pong atomic.Bool

	ended   chan struct{}
	endOnce sync.Once
	cause   error

	traffic *traffic
}

// traffic counts what the links of one end have carried.
type traffic struct {
	bytesIn, bytesOut atomic.Uint64
	// skipped are frames of types that are not known.
	skipped atomic.Uint64
}

func newTransport(in inbox, beat Heartbeat, count *traffic) *transport {
	return &transport{in: in, beat: beat, wake: make(chan struct{}, 1), ended: make(chan struct{}), traffic: count}
}

// fail ends the link at once. The first call says why.
func (t *transport) fail(err error) {
	t.endOnce.Do(func() {
		t.cause = err
		close(t.ended)
		t.in.nc.Close()
	})
}

// nudge makes the writer look for something to write.
func (t *transport) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// reader is what a transport calls while it reads.
type reader interface {
	// frame takes a frame; the payload is valid during the call.
	frame(typ wire.Type, payload []byte) error
	// batch follows after all frames that have arrived together.
	batch()
	// tick comes now and then, also when nothing arrives.
	tick()
	// outstanding: something waits for the other end.
	outstanding() bool
}

// read hands frames over until the link ends, and returns why.
func (t *transport) read(r reader) error {
	silent, tick := time.Duration(0), time.Duration(0)
	armed := false
	for {
		if err := t.dispatch(r); err != nil {
			return err
		}
		if !armed {
			tick = t.beat.Every / 4
			if silent == 0 {
				tick = min(tick, busyTick)
			}
			if err := t.in.nc.SetReadDeadline(time.Now().Add(tick)); err != nil {
				return t.why(err)
			}
			armed = true
		}
		n, err := t.in.Fill()
		if err == nil {
			// After silence, the next tick is far away.
			armed = armed && silent == 0
			silent = 0
			t.traffic.bytesIn.Add(uint64(n))
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return t.why(err)
		}
		// Silence is counted in waits, not by the clock: a process that
		// was stopped, or was busy, finds what has come meanwhile.
		armed = false
		if silent, err = t.silence(r, silent, tick); err != nil {
			return err
		}
		r.tick()
	}
}

// silence notes that nothing came for a tick.
func (t *transport) silence(r reader, silent, tick time.Duration) (time.Duration, error) {
	limit := t.beat.Idle
	if r.outstanding() {
		limit = t.beat.Dead
	}
	before := silent
	silent += tick
	if silent >= limit {
		return silent, errSilent
	}
	if silent/t.beat.Every != before/t.beat.Every {
		t.ping.Store(true)
		t.nudge()
	}
	return silent, nil
}

// dispatch hands over the whole frames that have been read.
func (t *transport) dispatch(r reader) error {
	n := 0
	for {
		typ, payload, ok, err := t.in.Next(maxFrame)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		n++
		switch typ {
		case typePing:
			t.pong.Store(true)
			t.nudge()
		case typePong:
		default:
			if err := r.frame(typ, payload); err != nil {
				return err
			}
		}
	}
	if n > 0 {
		r.batch()
	}
	return nil
}

// why prefers the cause of an end to what it made of reading or writing.
func (t *transport) why(err error) error {
	select {
	case <-t.ended:
		return t.cause
	default:
		return err
	}
}

// appendControl appends the heartbeats that are due.
func (t *transport) appendControl(dst []byte) []byte {
	if t.ping.Load() && t.ping.Swap(false) {
		dst = wire.AppendHeader(dst, typePing, 0)
	}
	if t.pong.Load() && t.pong.Swap(false) {
		dst = wire.AppendHeader(dst, typePong, 0)
	}
	return dst
}

// write writes what fill returns until the link ends. fill gets a buffer that
// it may use, and returns what is to be written now; last: it is the last, and
// the outgoing direction ends.
func (t *transport) write(fill func(spare []byte) (out []byte, last bool)) {
	var buf []byte
	for {
		var last bool
		buf, last = fill(buf[:0])
		if err := t.writeOut(buf); err != nil {
			t.fail(t.why(err))
			return
		}
		if last {
			t.closeWrite()
			return
		}
		if len(buf) > 0 {
			if cap(buf) > keepBuffer {
				buf = nil
			}
			continue
		}
		select {
		case <-t.wake:
		case <-t.ended:
			return
		}
	}
}

func (t *transport) writeOut(b []byte) error {
	n, err := wire.Paced{Conn: t.in.nc, Pause: t.beat.Dead}.Write(b)
	t.traffic.bytesOut.Add(uint64(n))
	return err
}

// closeWrite ends the outgoing direction; the other end does the same in
// answer, or is cut off for its silence.
func (t *transport) closeWrite() {
	half, ok := t.in.nc.(interface{ CloseWrite() error })
	if !ok {
		t.fail(net.ErrClosed)
		return
	}
	if err := half.CloseWrite(); err != nil {
		t.fail(t.why(err))
	}
}

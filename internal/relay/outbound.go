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
	pack  *packer
	wake  chan struct{}
	*Outgoing
}

func newOutbound(r *Relay, to im.Region, addrs []string) (*outbound, error) {
	pack, err := newPacker()
	if err != nil {
		return nil, err
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	o := &outbound{r: r, to: to, addrs: addrs, pack: pack, wake: make(chan struct{}, 1)}
	o.Outgoing = NewOutgoing(OutgoingConfig{
		Stream: binary.BigEndian.Uint64(b[:]) | 1, Pack: pack.pack,
		MaxQueue: r.cfg.MaxQueue, MaxOwing: r.cfg.MaxOwing, Grace: r.cfg.Grace, Patience: r.cfg.Patience,
	}, time.Now())
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

// put takes a message, or drops it.
func (o *outbound) put(m *entity.Message, hops uint8) {
	if o.Put(time.Now(), m, hops) {
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
			if !o.Overdue(now) {
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

// greet says hello, and returns the batches that have not arrived.
func (o *outbound) greet(nc net.Conn, in *wire.Reader) (repeat []Batch, err error) {
	_ = nc.SetDeadline(time.Now().Add(o.r.cfg.HandshakeTimeout))
	hello := greeting{version: version, stream: o.cfg.Stream, places: *o.r.places.Load()}
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
	repeat = o.Began(time.Now(), welcome.received, welcome.places)
	if o.Owes() {
		o.nudge()
	}
	return repeat, nil
}

// down notes the end of a connection: another relay may be there while this one is not.
func (o *outbound) down(err error) {
	if o.Ended(time.Now(), err) {
		o.at.Add(1)
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
		if o.Confirm(time.Now(), number) {
			o.nudge()
		}
	}
}

// moved takes the region's new addresses.
func (o *outbound) moved(payload []byte) error {
	g, err := readGreeting(payload)
	if err != nil {
		return err
	}
	o.setPlaces(g.places)
	o.r.cfg.Logger.Info("the addresses of a region have changed", "region", string(o.to), "links", g.places.Links, "http", g.places.HTTP)
	return nil
}

// write sends what waits, until the connection ends.
func (o *outbound) write(nc io.Writer, repeat []Batch, ended <-chan error) error {
	beat := time.NewTicker(o.r.cfg.Heartbeat)
	defer beat.Stop()
	pay := time.NewTicker(PayEvery)
	defer pay.Stop()
	for _, b := range repeat {
		if _, err := nc.Write(b.Frame); err != nil {
			return err
		}
	}
	for {
		for b, ok := o.Take(time.Now()); ok; b, ok = o.Take(time.Now()) {
			if _, err := nc.Write(b.Frame); err != nil {
				return err
			}
			select {
			case err := <-ended:
				return err
			default:
			}
		}
		// An idle connection is woken for heartbeats only.
		var due <-chan time.Time
		if o.Owes() {
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

// pay asks some of those that owe something to go on.
func (o *outbound) pay() {
	for _, d := range o.Due() {
		o.r.cfg.Nudge(d.From, d.To)
	}
}

// state is how it stands with the region.
func (o *outbound) state() Status {
	s := o.status()
	s.Region, s.Addr = o.to, o.addr()
	return s
}

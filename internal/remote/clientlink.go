package remote

import (
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// clientLink is the client's end of a link.
type clientLink struct {
	*transport
	client *Client
	peer   welcome
	// batchOut are the commands being encoded, by the writer.
	batchOut []outgoing
	// answered: identifiers have become free since the last batch. useful:
	// there was an answer at all.
	answered, useful bool
	// told: GoAway has been sent.
	told bool

	// Guarded by the client's mutex: asked means that the server has said
	// GoAway; unsendable are commands that are too large.
	asked      bool
	unsendable []uint32
}

// outgoing is a command on its way into a buffer.
type outgoing struct {
	head  submitHead
	cmd   im.Command
	codec *commandCodec
}

// carry runs the link until it ends, and returns why.
func (l *clientLink) carry() error {
	var writer sync.WaitGroup
	writer.Go(func() { l.write(l.fill) })
	err := l.read(l)
	l.fail(err)
	writer.Wait()
	return l.cause
}

const (
	// writeBytes and writeCommands are about how much is gathered for one
	// write.
	writeBytes    = 64 << 10
	writeCommands = 512
)

// fill is what there is to write. After GoAway come heartbeats only.
func (l *clientLink) fill(spare []byte) (out []byte, last bool) {
	out = l.appendControl(spare)
	if !l.told {
		out = l.client.outbound.take(out)
	}
	leave := l.gather()
	for i := range l.batchOut {
		out = l.encode(out, &l.batchOut[i])
	}
	if leave && !l.told {
		l.told = true
		out = wire.AppendHeader(out, typeGoAway, 0)
	}
	return out, false
}

// gather takes from the queue what may be sent, and reports whether the link
// is to end when that has been sent.
func (l *clientLink) gather() (leave bool) {
	clear(l.batchOut)
	l.batchOut = l.batchOut[:0]
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	for weight := 0; c.queue.len() > 0 && len(c.free) > 0 && !l.asked && !l.told; {
		if len(l.batchOut) == writeCommands || weight >= writeBytes {
			break
		}
		p := c.queue.pop()
		p.turn = c.turn
		c.turn++
		weight += p.weight
		id := c.free[len(c.free)-1]
		c.free = c.free[:len(c.free)-1]
		c.inFlight[id] = p
		l.batchOut = append(l.batchOut, outgoing{submitHead{uint64(id), p.to, p.codec.code}, p.cmd, p.codec})
	}
	return l.asked || c.closing && c.queue.len() == 0
}

// encode appends a command's frame.
func (l *clientLink) encode(out []byte, o *outgoing) []byte {
	start := len(out)
	out, at := openHead(out, typeSubmit)
	out = closeHead(o.head.append(out), at)
	out = closeFrame(o.codec.append(out, o.cmd), at)
	if len(out)-start > maxFrame {
		l.client.mu.Lock()
		l.unsendable = append(l.unsendable, uint32(o.head.id))
		l.client.mu.Unlock()
		return out[:start]
	}
	return out
}

// frame implements reader.
func (l *clientLink) frame(t wire.Type, payload []byte) error {
	switch t {
	case typeAnswer:
		return l.answer(payload)
	case typeDeliver:
		return l.deliver(payload)
	case typeKick:
		return l.kick(payload)
	case typeLevel:
		level, err := readLevel(payload)
		if err != nil {
			return err
		}
		l.client.level.Store(uint32(level))
	case typeReach:
		return l.reach(payload)
	case typeServed:
		return l.served(payload)
	case typeLeft:
		return l.left(payload)
	case typeGoAway:
		l.client.mu.Lock()
		l.asked = true
		l.client.mu.Unlock()
		l.nudge()
	case typeClose:
		return closedBy(payload)
	default:
		l.traffic.skipped.Add(1)
	}
	return nil
}

func (l *clientLink) answer(payload []byte) error {
	head, body, err := splitHead(payload)
	if err != nil {
		return err
	}
	var h answerHead
	if err := h.read(head); err != nil {
		return err
	}
	p, ok := l.client.answered(h.id)
	if !ok {
		return im.Errorf(im.Invalid, "an answer to a command that was not sent")
	}
	l.answered, l.useful = true, true
	l.client.trips.Observe(time.Since(p.until) + l.client.cfg.Patience)
	res, err := readAnswer(h.code, body)
	l.client.finish(&p, res, err)
	return nil
}

// answered takes a command that is in flight.
func (c *Client) answered(id uint64) (p pending, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id >= uint64(len(c.inFlight)) || c.inFlight[id].cmd == nil {
		return p, false
	}
	p = c.inFlight[id]
	c.inFlight[id] = pending{}
	c.free = append(c.free, uint32(id))
	return p, true
}

// finish completes a command. A session whose Attach failed is forgotten
// first.
func (c *Client) finish(p *pending, res im.Result, err error) {
	if at, ok := p.cmd.(*im.Attach); ok && err != nil {
		c.mu.Lock()
		c.sessions.remove(at.Session)
		c.mu.Unlock()
	}
	c.stats.completed.Add(1)
	p.complete(res, err)
}

func (l *clientLink) deliver(payload []byte) error {
	head, body, err := splitHead(payload)
	if err != nil {
		return err
	}
	var h deliverHead
	if err := h.read(head); err != nil {
		return err
	}
	sink, ok := l.client.sink(h.session)
	if !ok {
		l.client.stats.unwanted.Add(1)
		return nil
	}
	entries, err := readEntries(body)
	if err != nil {
		return err
	}
	l.client.stats.deliveries.Add(1)
	l.client.stats.entries.Add(uint64(len(entries)))
	sink.Deliver(h.first, h.last, entries)
	return nil
}

// kick ends a session.
func (l *clientLink) kick(payload []byte) error {
	var k kick
	if err := k.read(payload); err != nil {
		return err
	}
	c := l.client
	sink, ok := c.sink(k.session)
	if !ok {
		c.stats.unwanted.Add(1)
		return nil
	}
	c.mu.Lock()
	c.sessions.remove(k.session)
	c.mu.Unlock()
	c.stats.kicks.Add(1)
	sink.Kick(k.code, k.reason)
	return nil
}

func (c *Client) sink(id im.SessionID) (im.Sink, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions.get(id)
}

// batch implements reader: identifiers have become free.
func (l *clientLink) batch() {
	if !l.answered {
		return
	}
	l.answered = false
	c := l.client
	c.mu.Lock()
	waiting := c.queue.len() > 0
	c.mu.Unlock()
	if waiting {
		l.nudge()
	}
}

// tick implements reader.
func (l *clientLink) tick() {
	c := l.client
	c.mu.Lock()
	unsendable := l.unsendable
	l.unsendable = nil
	c.mu.Unlock()
	for _, id := range unsendable {
		if p, ok := c.answered(uint64(id)); ok {
			c.finish(&p, nil, im.Errorf(im.TooLarge, "a command of over %d bytes", maxFrame))
		}
	}
	c.expire(time.Now())
}

// outstanding implements reader.
func (l *clientLink) outstanding() bool {
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.free) < len(c.inFlight) || c.queue.len() > 0
}

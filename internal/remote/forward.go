package remote

import (
	"sync"
	"sync/atomic"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Link messages travel one way and unanswered: whoever sends one sends it again
// until the receiving entity has acknowledged it. So what finds no link, or no
// room, is dropped and counted.

// AppendMessage appends the fields of a link message.
func AppendMessage(dst []byte, m *entity.Message) []byte {
	dst = appendUint(dst, 1, m.From.Kind)
	dst = appendUint(dst, 2, m.From.ID)
	dst = appendUint(dst, 3, m.To.Kind)
	dst = appendUint(dst, 4, m.To.ID)
	dst = appendUint(dst, 5, m.Seq)
	dst = appendUint(dst, 6, m.Ack)
	dst = appendUint(dst, 7, m.Body.Kind)
	dst = appendUint(dst, 8, m.Body.Time)
	dst = appendUint(dst, 9, m.Body.PairID)
	dst = appendContent(dst, 10, &m.Body.Content)
	dst = appendUint(dst, 12, m.Body.Error)
	dst = appendUint(dst, 13, m.Body.Trace)
	dst = appendUint(dst, 14, m.At)
	if m.Lineage == nil {
		return dst
	}
	return appendNested(dst, 15, func(dst []byte) []byte { return appendLineage(dst, m.Lineage) })
}

func appendLineage(dst []byte, s *entity.Lineage) []byte {
	dst = appendUint(dst, 1, s.Own)
	dst = appendUint(dst, 2, s.Known)
	dst = appendUint(dst, 3, s.Base)
	dst = appendUint(dst, 4, s.Noted)
	dst = appendUint(dst, 5, s.Floor)
	return appendBool(dst, 6, s.Stopped)
}

// ReadMessage reads a link message, which does not alias b.
func ReadMessage(b []byte) (*entity.Message, error) {
	m := new(entity.Message)
	f := fields{rest: b}
	for f.next() {
		setMessage(m, &f)
	}
	return m, f.err("link message")
}

func setMessage(m *entity.Message, f *fields) {
	switch f.num {
	case 1:
		m.From.Kind = number[im.Kind](f)
	case 2:
		m.From.ID = f.uint()
	case 3:
		m.To.Kind = number[im.Kind](f)
	case 4:
		m.To.ID = f.uint()
	case 5:
		m.Seq = number[im.LinkSeq](f)
	case 6:
		m.Ack = number[im.LinkSeq](f)
	case 7:
		m.Body.Kind = number[entity.BodyKind](f)
	case 8:
		m.Body.Time = f.millis()
	case 9:
		m.Body.PairID = f.uint()
	case 10, 11:
		setContent(&m.Body.Content, 10, f)
	case 12:
		m.Body.Error = number[im.ErrorKind](f)
	case 13:
		m.Body.Trace = number[im.TraceID](f)
	case 14:
		m.At = int64(f.uint())
	case 15:
		m.Lineage = new(entity.Lineage)
		f.nest(readLineage(m.Lineage, f.bytes()))
	}
}

func readLineage(s *entity.Lineage, b []byte) error {
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case 1:
			s.Own = number[im.Generation](&f)
		case 2:
			s.Known = number[im.Generation](&f)
		case 3:
			s.Base = number[im.LinkSeq](&f)
		case 4:
			s.Noted = number[im.Generation](&f)
		case 5:
			s.Floor = number[im.LinkSeq](&f)
		case 6:
			s.Stopped = f.bool()
		}
	}
	return f.err("lineage")
}

// outbound are the link messages that wait to be written, encoded.
type outbound struct {
	mu sync.Mutex
	// open: there is a link that will take them.
	open bool
	buf  []byte

	// forwarded and dropped count link messages.
	forwarded, dropped atomic.Uint64
}

// put encodes a frame, if there is a link and room. first: nothing was waiting.
func (o *outbound) put(t wire.Type, most int, fill func(dst []byte) []byte) (first, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := len(o.buf)
	if !o.open || before >= most {
		return false, false
	}
	var at int
	o.buf, at = openFrame(o.buf, t)
	o.buf = closeFrame(fill(o.buf), at)
	return before == 0, true
}

// set opens or closes it; what waits when it closes is lost.
func (o *outbound) set(open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open, o.buf = open, nil
}

// take appends what waits.
func (o *outbound) take(dst []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	dst = append(dst, o.buf...)
	if cap(o.buf) > keepBuffer {
		o.buf = nil
	}
	o.buf = o.buf[:0]
	return dst
}

// Forward carries a link message towards the mailbox node, or drops and counts
// it: its sender sends it again.
func (c *Client) Forward(m *entity.Message) {
	if c.hand(typeForward, func(dst []byte) []byte { return AppendMessage(dst, m) }) {
		c.outbound.forwarded.Add(1)
	} else {
		c.outbound.dropped.Add(1)
	}
}

// hand puts a frame on the link that is not answered, and reports whether there
// is a link and room.
func (c *Client) hand(t wire.Type, fill func(dst []byte) []byte) bool {
	first, ok := c.outbound.put(t, c.cfg.MaxForwardBytes, fill)
	if !first {
		return ok
	}
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if l != nil {
		l.nudge()
	}
	return true
}

// forwarded takes a link message from another node.
func (l *serverLink) forwarded(payload []byte) error {
	l.srv.stats.forwarded.Add(1)
	receive := l.srv.cfg.Receive
	if l.way != nil {
		receive = l.way.Receive
	}
	if receive == nil {
		l.traffic.skipped.Add(1)
		return nil
	}
	m, err := ReadMessage(payload)
	if err != nil {
		return err
	}
	receive(m)
	return nil
}

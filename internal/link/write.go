package link

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/skein-im/skein/internal/evloop"
)

const (
	// headroom is left free before queued bytes, for a WebSocket header.
	headroom = 10
	// writeStep is the most that one write takes, so that the stall timeout
	// means a pace and not a size.
	writeStep = 64 << 10
	// maxMessage is what a WebSocket message gathers, unless a single frame
	// is larger.
	maxMessage = 64 << 10
	// keepChunk is the largest chunk worth keeping for others.
	keepChunk = 64 << 10
)

// chunk is queued bytes behind headroom.
type chunk struct {
	b []byte
	// budget counts held of them.
	budget *evloop.Budget
	held   int
}

func newChunk() *chunk { return &chunk{b: make([]byte, headroom, 1<<10)} }

func (k *chunk) frames() []byte { return k.b[headroom:] }

func (k *chunk) append(frames []byte) {
	k.b = append(k.b, frames...)
	k.count(cap(k.b))
}

func (k *chunk) count(n int) {
	k.budget.Add(n - k.held)
	k.held = n
}

// outgoing is the part of a conn that is written. Its fields are guarded by
// the conn's mutex.
type outgoing struct {
	// out is the next to be written; queued counts it and what is being
	// written.
	out    *chunk
	queued int
	// ctl is a WebSocket pong to be written; only the latest matters.
	ctl []byte
	// corked: writing waits until the frames that were read are handled.
	corked  bool
	writing bool
	writers sync.WaitGroup
	// armed is when the write deadline was last set.
	armed time.Time
}

func (c *conn) Send(frames []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.dead {
		return ErrClosed
	}
	if err := c.srv.room(c.srv.budget, c.queued, len(frames)); err != nil {
		c.closeLocked(err)
		return err
	}
	c.queueLocked(frames)
	c.startWriter()
	return nil
}

func (c *conn) queueLocked(frames []byte) {
	if c.out == nil {
		c.out = c.srv.getChunk(c.srv.budget)
	}
	c.out.append(frames)
	c.queued += len(frames)
}

// dropLocked forgets what is queued.
func (c *conn) dropLocked() {
	if c.out != nil {
		c.queued -= len(c.out.frames())
		c.srv.putChunk(c.out)
	}
	c.out, c.ctl = nil, nil
}

func (c *conn) pong(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.ctl = appendPacket(c.ctl[:0], ws.OpPong, payload)
		c.startWriter()
	}
}

func (c *conn) cork() {
	c.mu.Lock()
	c.corked = !c.closing
	c.mu.Unlock()
}

// uncork lets writing go on, and notes that frames arrived.
func (c *conn) uncork(alive bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = false
	if alive && !c.closing {
		c.lastFrame = time.Now()
		if c.first {
			c.first = false
			_ = c.nc.SetReadDeadline(c.readDeadline())
		}
	}
	if c.out != nil || c.ctl != nil {
		c.startWriter()
	}
}

// startWriter makes a goroutine write what is queued, unless one does.
func (c *conn) startWriter() {
	if c.writing || c.corked || c.dead {
		return
	}
	c.writing = true
	c.writers.Add(1)
	go c.write()
}

// write is the goroutine that writes; it ends when nothing is queued.
func (c *conn) write() {
	defer c.writers.Done()
	written := 0
	for {
		c.mu.Lock()
		c.queued -= written
		if c.corked {
			// uncork goes on, when there is more at once.
			c.writing = false
			c.mu.Unlock()
			return
		}
		out, ctl := c.out, c.ctl
		c.out, c.ctl = nil, nil
		if out == nil && ctl == nil {
			last := c.closing && !c.dead
			// After the last words nobody writes.
			c.writing = last
			c.mu.Unlock()
			if last {
				c.lastWords()
			}
			return
		}
		c.mu.Unlock()
		written = 0
		if out != nil {
			written = len(out.frames())
		}
		if err := c.writeOut(out, ctl); err != nil {
			c.abort(err)
			return
		}
	}
}

func (c *conn) writeOut(out *chunk, ctl []byte) error {
	if len(ctl) > 0 {
		if err := c.writeBytes(ctl); err != nil {
			return err
		}
	}
	if out == nil {
		return nil
	}
	defer c.srv.putChunk(out)
	if c.in.ws != nil {
		return eachMessage(out.b, c.writeBytes)
	}
	return c.writeBytes(out.frames())
}

// eachMessage writes the frames behind b's headroom as WebSocket messages.
// The header of the second and later ones goes where the end of the one before
// was, which has been written by then.
func eachMessage(b []byte, write func([]byte) error) error {
	for at := headroom; at < len(b); {
		n, err := prefix(b[at:], maxMessage)
		if err != nil {
			return err
		}
		var h [ws.MaxHeaderSize]byte
		header := appendPacketHeader(h[:0], ws.OpBinary, n)
		from := at - len(header)
		copy(b[from:at], header)
		at += n
		if err := write(b[from:at]); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) writeBytes(b []byte) error {
	for len(b) > 0 {
		c.armWrite()
		c.srv.stats.writes.Add(1)
		n, err := c.nc.Write(b[:min(len(b), writeStep)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// armWrite moves the write deadline, if it was not moved just now: moving it
// costs more than the rest of a small write.
func (c *conn) armWrite() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, stall := time.Now(), c.srv.cfg.StallTimeout
	if c.closing || now.Sub(c.armed) < stall/4 {
		return
	}
	c.armed = now
	_ = c.nc.SetWriteDeadline(now.Add(stall + stall/4))
}

// lastWords ends the outgoing direction; the reader waits for the peer to do
// the same. Errors mean that the peer does not listen any more.
func (c *conn) lastWords() {
	if c.in.ws != nil {
		_ = c.writeBytes(appendPacket(nil, ws.OpClose, closeBody(c.wsStatus, c.wsReason)))
	}
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		c.sock.Close()
	}
}

// closeBody is the body of a WebSocket close.
func closeBody(status uint16, reason string) []byte {
	return ws.NewCloseFrameBody(ws.StatusCode(status), cut(reason, 123))
}

// appendPacket appends a WebSocket packet from the server.
func appendPacket(dst []byte, op ws.OpCode, payload []byte) []byte {
	return append(appendPacketHeader(dst, op, len(payload)), payload...)
}

func appendPacketHeader(dst []byte, op ws.OpCode, n int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n < 1<<16:
		return append(dst, 126, byte(n>>8), byte(n))
	default:
		return append(dst, 127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

func validReason(s string) string { return strings.ToValidUTF8(cut(s, 256), "") }

// cut shortens s to at most n bytes, between characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

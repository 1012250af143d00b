//go:build linux

package link

import (
	"errors"

	"github.com/gobwas/ws"

	"github.com/skein-im/skein/internal/evloop"
)

// Send goes through a queue here, even on the loop itself: so frames leave in
// the order of the calls, whoever makes them.
func (c *loopConn) Send(frames []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.roomLocked(len(frames)); err != nil {
		return err
	}
	c.queueLocked(frames)
	c.callLoop()
	return nil
}

// roomLocked makes sure that there is room for n bytes, or closes the
// connection.
func (c *loopConn) roomLocked(n int) error {
	if c.closing != nil {
		return ErrClosed
	}
	queued := int(c.handing.Load())
	if queued == 0 {
		queued = c.ec.Queued()
	}
	if c.out != nil {
		queued += len(c.out.frames())
	}
	if err := c.srv().room(c.desk.loop.Budget(), queued, n); err != nil {
		c.closeLocked(err)
		return err
	}
	return nil
}

// push goes past the queue if nothing is in it; it is for the loop.
func (c *loopConn) push(b *broadcast) bool {
	if !c.ready || c.refused || !b.wants(c) {
		return false
	}
	c.mu.Lock()
	if c.roomLocked(len(b.frames)) != nil {
		c.mu.Unlock()
		return false
	}
	if c.out != nil {
		c.queueLocked(b.frames)
		c.callLoop()
		c.mu.Unlock()
		return true
	}
	message := b.frames
	if c.web {
		message = b.message
	}
	c.handing.Store(int32(c.ec.Queued() + len(message)))
	c.mu.Unlock()
	_ = c.write(message)
	c.handing.Store(0)
	return true
}

func (c *loopConn) queueLocked(frames []byte) {
	if c.out == nil {
		c.out = c.srv().getChunk(c.desk.loop.Budget())
	}
	c.out.append(frames)
}

func (c *loopConn) dropLocked() {
	if c.out != nil {
		c.srv().putChunk(c.out)
		c.out = nil
	}
}

// callLoop makes the loop look at what waits here, unless it will anyway.
func (c *loopConn) callLoop() {
	if !c.waits && !c.corked && !c.parted {
		c.waits = true
		c.desk.add(c)
	}
}

// left is for connections that were left at the desk.
func (c *loopConn) left() {
	c.mu.Lock()
	c.waits = false
	c.flushLocked()
}

// flush is for connections that can be written to again.
func (c *loopConn) flush() {
	c.mu.Lock()
	c.flushLocked()
}

// uncork lets writing go on, and notes that frames arrived.
func (c *loopConn) uncork(alive bool) {
	c.mu.Lock()
	c.corked = false
	if alive && c.closing == nil {
		c.lastFrame = c.desk.loops.since(c.desk.loop.Now())
		if c.first {
			c.first, c.rearm = false, true
		}
	}
	c.flushLocked()
}

// flushLocked hands what waits to the loop, and unlocks. Not much is handed
// over before the loop is rid of what it has: what waits here can still be
// dropped.
func (c *loopConn) flushLocked() {
	if c.parted || c.corked {
		c.mu.Unlock()
		return
	}
	if c.rearm {
		c.rearm = false
		if c.closing == nil && !c.armLocked() {
			// It is over at once.
			c.ec.SetTimer(1)
		}
	}
	out, closing := c.out, c.closing != nil
	if out != nil && !closing && c.ec.Queued() >= writeStep {
		c.mu.Unlock()
		c.ec.NotifyDrained()
		return
	}
	c.out, c.parted = nil, closing
	if out != nil {
		c.handing.Store(int32(c.ec.Queued() + len(out.frames())))
	}
	c.mu.Unlock()
	if out != nil {
		c.writeChunk(out)
		c.handing.Store(0)
	}
	if closing {
		c.part()
	}
}

func (c *loopConn) writeChunk(k *chunk) {
	defer c.srv().putChunk(k)
	// The loop counts it.
	k.count(0)
	if !c.web {
		_ = c.write(k.frames())
		return
	}
	if err := eachMessage(k.b, c.write); err != nil {
		c.hangUp(err)
	}
}

// write hands bytes to the loop. An error is none of the caller's: when the
// connection has ended, what there is to do about it happens in closed.
func (c *loopConn) write(b []byte) error {
	if err := c.ec.Write(b); errors.Is(err, evloop.ErrQueueFull) || errors.Is(err, evloop.ErrNoRoom) {
		c.hangUp(err)
	}
	return nil
}

// sendPong answers a ping.
func (c *loopConn) sendPong(payload []byte) {
	c.mu.Lock()
	room := c.closing != nil || c.roomLocked(len(payload)+ws.MaxHeaderSize) == nil
	c.mu.Unlock()
	if room {
		_ = c.write(appendPacket(c.desk.pong[:0], ws.OpPong, payload))
	}
}

// part ends the connection when everything has left: after the last words, if
// there is somebody to hear them.
func (c *loopConn) part() {
	if !c.ready {
		c.ec.Close(c.closing.cause)
		return
	}
	if c.web {
		_ = c.write(appendPacket(nil, ws.OpClose, c.closeBody()))
	}
	c.ec.CloseGently(c.closing.cause, c.srv().cfg.CloseTimeout)
}

// closeBody is the body of the WebSocket close.
func (c *loopConn) closeBody() []byte {
	var e *CloseError
	if errors.As(c.closing.cause, &e) {
		return closeBody(4000+uint16(e.Code), validReason(e.Reason))
	}
	return closeBody(c.closing.wsStatus, "")
}

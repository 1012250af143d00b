package client

import (
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

const (
	// writeSize is how much is gathered for one write, give or take a frame.
	writeSize = 64 << 10
	// ackDelay is how long an ack may wait for others.
	ackDelay = 100 * time.Millisecond
	// probeAfter is how long a link may be silent while something waits
	// for the server, before it is checked.
	probeAfter = 10 * time.Second
	// minPatience is the least time the server gets to answer a heartbeat.
	minPatience = 5 * time.Second
)

// nudge wakes the writer when it has something to do. The caller holds mu.
func (c *Client) nudge() {
	s := c.session
	if s == nil {
		return
	}
	_, _, held := c.core.Hold()
	if c.core.Ready() || c.core.AckDue() || len(c.calls.frames) > 0 ||
		s.ackAt.IsZero() && c.core.AckPending() || s.resumeAt.IsZero() && held {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// write writes what is to be written until the link ends.
func (s *session) write() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var buf []byte
	for {
		var next time.Time
		buf, next = s.fill(buf[:0])
		if next.IsZero() {
			s.client.opts.Logger.Debug("the server does not answer heartbeats", "after", s.heartbeat)
			_ = s.conn.Close()
			return
		}
		if len(buf) > 0 {
			if s.conn.Write(buf) != nil {
				// The reader hears of it.
				_ = s.conn.Close()
				return
			}
			s.lastWrite = time.Now()
			continue
		}
		timer.Reset(time.Until(next))
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.stop:
			return
		case <-s.client.ctx.Done():
			s.goodbye(buf)
			return
		}
	}
}

// fill gathers what is to be written now, and tells when there will be more if
// nothing happens. The zero time: the link is dead.
func (s *session) fill(buf []byte) ([]byte, time.Time) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	s.resume(now)
	buf = c.core.AppendFrames(buf, writeSize)
	buf = c.calls.take(buf)
	if c.core.AckDue() || c.core.AckPending() && !s.ackAt.IsZero() && !now.Before(s.ackAt) {
		buf = c.core.AppendAck(buf)
	}
	if !c.core.AckPending() {
		s.ackAt = time.Time{}
	} else if s.ackAt.IsZero() {
		s.ackAt = now.Add(ackDelay)
	}
	buf, next := s.beat(buf, now)
	return buf, earliest(next, s.ackAt, s.resumeAt)
}

// earliest is the earliest of next and those of others that are set; zero if
// next is.
func earliest(next time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	return next
}

// resume ends a pause that the server asked for, in time.
func (s *session) resume(now time.Time) {
	core := s.client.core
	ms, attempt, held := core.Hold()
	switch {
	case !held:
		s.resumeAt = time.Time{}
	case s.resumeAt.IsZero():
		wait := time.Duration(ms)*time.Millisecond + s.client.opts.Backoff.wait(attempt-1)
		s.resumeAt = now.Add(max(wait, time.Millisecond))
	case !now.Before(s.resumeAt):
		core.Resume()
		s.resumeAt = time.Time{}
	}
}

// beat appends a heartbeat when one is due.
func (s *session) beat(buf []byte, now time.Time) ([]byte, time.Time) {
	c := s.client
	quiet := s.heartbeat
	if c.core.Unanswered() > 0 || len(c.calls.pending) > 0 {
		quiet = min(quiet, probeAfter)
	}
	lastRead := s.began.Add(time.Duration(s.lastRead.Load()))
	if s.lastPing.After(lastRead) {
		dead := s.lastPing.Add(max(quiet/2, minPatience))
		if now.Before(dead) {
			return buf, dead
		}
		return buf, time.Time{}
	}
	due := earliest(lastRead.Add(quiet), s.lastWrite.Add(s.heartbeat))
	if now.Before(due) {
		return buf, due
	}
	s.lastPing = now
	return wire.AppendPing(buf), now.Add(max(quiet/2, minPatience))
}

// goodbye ends the link in order.
func (s *session) goodbye(buf []byte) {
	c := s.client
	c.mu.Lock()
	buf = c.core.AppendAck(buf[:0])
	c.mu.Unlock()
	// A reason without text always encodes.
	buf, _ = wire.AppendMessage(buf, wire.TypeClose, &skeinv1.Close{Code: skeinv1.CloseCode(im.CloseNormal)})
	_ = s.conn.Write(buf)
	_ = s.conn.Close()
}

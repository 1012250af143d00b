package link

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// ClientConn is a client's end of a connection. It has no goroutine: whoever
// reads it pays for it.
type ClientConn struct {
	nc       net.Conn
	in       decoder
	maxFrame int

	timeout time.Duration
	wmu     sync.Mutex
	// armed is when the write deadline was last set.
	armed time.Time
	// masked is where WebSocket messages are put together.
	masked []byte
	broken error
}

func newClientConn(nc net.Conn, opts DialOptions) *ClientConn {
	return &ClientConn{
		nc:       nc,
		in:       decoder{buf: newBuffer(nil)},
		maxFrame: opts.MaxFrame,
		timeout:  opts.WriteTimeout,
	}
}

// LocalAddr is this end's address.
func (c *ClientConn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr is the server's address.
func (c *ClientConn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// SetReadDeadline bounds ReadFrame; the zero time does not. After a read that
// ran into it, which fails with os.ErrDeadlineExceeded, reading may go on.
func (c *ClientConn) SetReadDeadline(t time.Time) error { return c.nc.SetReadDeadline(t) }

// Buffered reports whether ReadFrame may have a frame without reading from
// the network.
func (c *ClientConn) Buffered() bool {
	return c.in.buf.r < c.in.buf.w || c.in.ws != nil && len(c.in.ws.message) > 0
}

// ReadFrame waits for the next frame. The payload is valid until the next
// call; calls must not overlap. After a WebSocket close that carries a close
// code it fails with a *CloseError, when the server has gone with io.EOF, and
// with *im.Error when it sent nonsense.
func (c *ClientConn) ReadFrame() (wire.Type, []byte, error) {
	for {
		ev, t, payload, err := c.in.next(c.maxFrame)
		if err != nil {
			return 0, nil, err
		}
		switch ev {
		case gotFrame:
			return t, payload, nil
		case gotPing:
			// If it cannot be written, reading will tell.
			_ = c.control(ws.OpPong, payload)
		case gotClose:
			return 0, nil, c.closedByServer(payload)
		case more:
			err = c.in.read(c.nc)
		}
		if err != nil {
			return 0, nil, err
		}
	}
}

// closedByServer answers a WebSocket close.
func (c *ClientConn) closedByServer(payload []byte) error {
	status := closeStatus(payload)
	_ = c.control(ws.OpClose, binary.BigEndian.AppendUint16(nil, status))
	if status < 4000 || len(payload) < 2 {
		return io.EOF
	}
	return &CloseError{Code: im.CloseCode(status - 4000), Reason: string(payload[2:])}
}

// Write sends whole encoded frames and returns when the network has taken
// them. It is safe for concurrent use. After an error the connection is of no
// use for writing.
func (c *ClientConn) Write(frames []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.in.ws != nil {
		var err error
		if frames, err = c.mask(frames); err != nil {
			return err
		}
	}
	return c.writeLocked(frames)
}

func (c *ClientConn) writeLocked(b []byte) error {
	if c.broken != nil {
		return c.broken
	}
	if now := time.Now(); now.Sub(c.armed) > c.timeout/4 {
		c.armed = now
		if err := c.nc.SetWriteDeadline(now.Add(c.timeout + c.timeout/4)); err != nil {
			c.broken = err
			return err
		}
	}
	_, c.broken = c.nc.Write(b)
	return c.broken
}

// mask puts frames into WebSocket messages.
func (c *ClientConn) mask(frames []byte) ([]byte, error) {
	c.masked = c.masked[:0]
	for len(frames) > 0 {
		n, err := prefix(frames, maxMessage)
		if err != nil {
			return nil, err
		}
		c.masked = appendMasked(c.masked, ws.OpBinary, frames[:n])
		frames = frames[n:]
	}
	return c.masked, nil
}

// appendMasked appends a WebSocket packet from a client.
func appendMasked(dst []byte, op ws.OpCode, payload []byte) []byte {
	at := len(dst)
	dst = appendPacketHeader(dst, op, len(payload))
	dst[at+1] |= 0x80
	var key [4]byte
	binary.LittleEndian.PutUint32(key[:], rand.Uint32())
	dst = append(dst, key[:]...)
	from := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[from:], key, 0)
	return dst
}

// control sends a WebSocket control packet.
func (c *ClientConn) control(op ws.OpCode, payload []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.writeLocked(appendMasked(nil, op, payload))
}

// Close ends the connection at once. Who wants to say goodbye writes a Close
// frame before.
func (c *ClientConn) Close() error {
	if c.in.ws != nil && c.wmu.TryLock() {
		// A courtesy to proxies, which must not take long.
		if c.broken == nil {
			_ = c.nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			_, _ = c.nc.Write(appendMasked(nil, ws.OpClose, binary.BigEndian.AppendUint16(nil, uint16(ws.StatusNormalClosure))))
			c.broken = ErrClosed
		}
		c.wmu.Unlock()
	}
	return c.nc.Close()
}

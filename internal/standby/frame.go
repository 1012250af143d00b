package standby

import (
	"net"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// The types of frames, which belong to this protocol alone.
const (
	frameHello     wire.Type = 64
	frameAsk       wire.Type = 65
	framePositions wire.Type = 66
	frameChanges   wire.Type = 67
	frameCopyBegin wire.Type = 68
	frameLogs      wire.Type = 69
	frameEntity    wire.Type = 70
	frameCopyEnd   wire.Type = 71
	framePing      wire.Type = 72
)

const (
	// maxFrame bounds a frame; helloFrame one of somebody unknown.
	maxFrame   = 64 << 20
	helloFrame = 4 << 10
	// usualBuffer is for what is read, which a Follower applies with one commit,
	// keptBuffer the most that is kept for writing the next frame.
	usualBuffer = 1 << 20
	keptBuffer  = 1 << 20
	// pingEvery is how often an end that has nothing to say says so, deadAfter
	// how long the other may be silent.
	pingEvery = 2 * time.Second
	deadAfter = 10 * time.Second
	// pieceBytes is about how much of a log goes into one frame.
	pieceBytes = 256 << 10
)

// message is a frame's payload.
func messageOf(t wire.Type) proto.Message {
	switch t {
	case frameHello:
		return new(storev1.StandbyHello)
	case frameAsk:
		return new(storev1.StandbyAsk)
	case framePositions:
		return new(storev1.StandbyPositions)
	case frameChanges:
		return new(storev1.StandbyChanges)
	case frameCopyBegin, frameCopyEnd:
		return new(storev1.StandbyCopy)
	case frameLogs:
		return new(storev1.StandbyLogs)
	case frameEntity:
		return new(storev1.StandbyEntity)
	}
	return nil
}

// conn carries frames. One goroutine reads; any may write.
type conn struct {
	nc wire.Paced
	in wire.Reader

	mu  sync.Mutex
	out []byte
}

func newConn(nc net.Conn) *conn {
	paced := wire.Paced{Conn: nc, Pause: deadAfter}
	return &conn{nc: paced, in: wire.NewReader(paced, usualBuffer)}
}

// send writes one frame.
func (c *conn) send(t wire.Type, m proto.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if c.out, err = appendFrame(c.out[:0], t, m); err != nil {
		return err
	}
	_, err = c.nc.Write(c.out)
	if cap(c.out) > keptBuffer {
		c.out = nil
	}
	return err
}

// write writes frames that are encoded already.
func (c *conn) write(frames []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.nc.Write(frames)
	return err
}

func appendFrame(dst []byte, t wire.Type, m proto.Message) ([]byte, error) {
	if m == nil {
		return wire.AppendHeader(dst, t, 0), nil
	}
	size := proto.Size(m)
	if size > maxFrame {
		return dst, im.Errorf(im.TooLarge, "%d bytes are too many for one frame to the standby", size)
	}
	return proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(wire.AppendHeader(dst, t, size), m)
}

// receive waits for a frame; m is nil for one without meaning here.
func (c *conn) receive(limit int) (t wire.Type, m proto.Message, err error) {
	t, payload, err := c.in.Frame(limit)
	if err != nil {
		return 0, nil, err
	}
	return decode(t, payload)
}

// next takes a frame that has been read already; ok is false if there is none.
func (c *conn) next(limit int) (t wire.Type, m proto.Message, ok bool, err error) {
	t, payload, ok, err := c.in.Next(limit)
	if err != nil || !ok {
		return 0, nil, false, err
	}
	t, m, err = decode(t, payload)
	return t, m, true, err
}

func decode(t wire.Type, payload []byte) (_ wire.Type, m proto.Message, err error) {
	if m = messageOf(t); m == nil {
		return t, nil, nil
	}
	if err := proto.Unmarshal(payload, m); err != nil {
		return 0, nil, im.Errorf(im.Invalid, "a frame of type %d cannot be read: %w", t, err)
	}
	return t, m, nil
}

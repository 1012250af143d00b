package client

import (
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Notice is a word of the operator to everyone who is connected.
type Notice struct {
	// ID tells notices apart.
	ID      uint64
	Time    time.Time
	Content Content
}

// maxNotices is how many notices may wait; of more, the oldest go.
const maxNotices = 64

// notice queues a notice for the application.
func (c *Client) notice(payload []byte) error {
	if c.opts.OnNotice == nil {
		return nil
	}
	var m skeinv1.Notice
	if err := wire.UnmarshalMessage(payload, &m); err != nil {
		return err
	}
	n := Notice{ID: m.GetId(), Time: time.UnixMilli(m.GetTimeMs()), Content: im.Content{
		Type: im.ContentType(m.GetContent().GetType()), Body: m.GetContent().GetBody(),
	}}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.notices) == maxNotices {
		c.opts.Logger.Warn("a notice was dropped: the application is busy", "id", c.notices[0].ID)
		c.notices = append(c.notices[:0], c.notices[1:]...)
	}
	c.notices = append(c.notices, n)
	c.wakeDispatch()
	return nil
}

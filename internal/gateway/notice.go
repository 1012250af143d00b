package gateway

import (
	"context"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// Broadcaster queues frames on every connection that is wanted, and returns how
// many took them: a link.Server does.
type Broadcaster interface {
	Broadcast(ctx context.Context, frames []byte, wants func(c link.Conn) bool) (reached int, err error)
}

// Notify sends a Notice to everyone who is logged in over the connections of
// links, and returns how many it was queued for. It is neither kept nor
// repeated. Invalid and TooLarge: the content may not be sent; otherwise the
// errors are those of links.
func (g *Gateway) Notify(ctx context.Context, links Broadcaster, id uint64, content im.Content) (reached int, err error) {
	if err := content.Check(); err != nil {
		return 0, err
	}
	frame, err := wire.AppendMessage(nil, wire.TypeNotice, &skeinv1.Notice{
		Id:      id,
		TimeMs:  g.cfg.Now().UnixMilli(),
		Content: &skeinv1.Content{Type: skeinv1.ContentType(content.Type), Body: content.Body},
	})
	if err != nil {
		return 0, err
	}
	reached, err = links.Broadcast(ctx, frame, loggedIn)
	g.stats.framesOut[wire.TypeNotice].Add(uint64(reached))
	return reached, err
}

func loggedIn(c link.Conn) bool {
	s, ok := c.Value().(*session)
	return ok && (s.is(live) || s.is(resuming))
}

package api

import (
	"context"
	"math/rand/v2"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

// maxNotice is the most bytes of a notice: it goes to everyone at once.
const maxNotice = 4 << 10

// Notice is a word of the operator to everyone connected.
type Notice struct {
	ID      uint64
	Time    im.Millis
	Content im.Content
}

func (a *API) notify(ctx context.Context, _ *caller, req *skeinv1.NotifyRequest) (*skeinv1.NotifyResponse, error) {
	if a.cfg.Notify == nil {
		return nil, im.Errorf(im.Unimplemented, "there are no links here to notify")
	}
	content, err := contentOf(req.Content)
	if err != nil {
		return nil, err
	}
	if len(content.Body) > maxNotice {
		return nil, im.Errorf(im.TooLarge, "a notice has at most %d bytes", maxNotice)
	}
	n := Notice{
		// Below 2^53, so that every JSON reader can hold it.
		ID:      rand.Uint64N(1<<53-1) + 1,
		Time:    im.Millis(a.cfg.Now().UnixMilli()),
		Content: content,
	}
	reached, err := a.cfg.Notify(ctx, n)
	if err != nil {
		return nil, err
	}
	return &skeinv1.NotifyResponse{Id: n.ID, Reached: reached}, nil
}

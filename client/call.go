package client

import (
	"context"
	"strings"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// maxCalls is how many calls may wait for their answers.
const maxCalls = 256

// calls are the requests that wait for answers, and the shakes, guarded by the
// client's mu.
type calls struct {
	last    uint64
	pending map[uint64]*call
	// frames are those that no link has taken yet.
	frames []byte
}

type call struct {
	// written: a link has taken it, so it may have been carried out.
	written bool
	answer  chan answer
}

type answer struct {
	body   []byte
	shaken im.Shaken
	err    error
}

// Call makes one request of the HTTP API over the link. method is a full name
// like "skein.v1.ContactService/List". Without a link it waits for one.
// Unavailable with a broken link: the request may have been carried out.
func (c *Client) Call(ctx context.Context, method string, req, resp proto.Message) error {
	body, err := proto.Marshal(req)
	if err != nil {
		return im.Errorf(im.Invalid, "encoding a request of %s: %w", method, err)
	}
	if len(body) > im.MaxClientFrame-512 {
		return im.Errorf(im.TooLarge, "a request of %d bytes does not fit a link; ask over HTTP", len(body))
	}
	method = strings.TrimPrefix(method, "/")
	a, err := c.ask(ctx, func(dst []byte, id uint64) ([]byte, error) {
		return wire.AppendMessage(dst, wire.TypeCall, &skeinv1.Call{Id: id, Method: method, Body: body})
	})
	if err != nil {
		return err
	}
	return wire.UnmarshalMessage(a.body, resp)
}

// ask queues the frame that fill appends, and waits for its answer.
func (c *Client) ask(ctx context.Context, fill func(dst []byte, id uint64) ([]byte, error)) (answer, error) {
	id, waiting, err := c.request(fill)
	if err != nil {
		return answer{}, err
	}
	select {
	case a := <-waiting:
		return a, a.err
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.calls.pending, id)
		c.mu.Unlock()
		return answer{}, im.Errorf(im.Unavailable, "no answer in time: %w", context.Cause(ctx))
	}
}

// request queues a frame that is answered by its id.
func (c *Client) request(fill func(dst []byte, id uint64) ([]byte, error)) (uint64, <-chan answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return 0, nil, c.err
	case len(c.calls.pending) >= maxCalls:
		return 0, nil, im.Errorf(im.Busy, "%d calls wait for their answers", maxCalls)
	}
	q := &c.calls
	q.last++
	frames, err := fill(q.frames, q.last)
	if err != nil {
		return 0, nil, err
	}
	q.frames = frames
	made := &call{answer: make(chan answer, 1)}
	q.pending[q.last] = made
	c.nudge()
	return q.last, made.answer, nil
}

// take appends the calls that no link has taken yet.
func (q *calls) take(dst []byte) []byte {
	if len(q.frames) == 0 {
		return dst
	}
	for _, made := range q.pending {
		made.written = true
	}
	dst = append(dst, q.frames...)
	q.frames = nil
	return dst
}

// fail ends the calls that a link had taken, or all of them.
func (q *calls) fail(err error, all bool) {
	for id, made := range q.pending {
		if all || made.written {
			made.answer <- answer{err: err}
			delete(q.pending, id)
		}
	}
}

// answer takes an Answer.
func (c *Client) answer(payload []byte) error {
	var m skeinv1.Answer
	if err := wire.UnmarshalMessage(payload, &m); err != nil {
		return err
	}
	a := answer{body: m.GetBody()}
	if e := wire.ErrorFromProto(m.GetError()); e != nil {
		a.err = e
	}
	c.settleCall(m.GetId(), a)
	return nil
}

// settleCall hands a caller its answer; one that nobody waits for any more is
// dropped.
func (c *Client) settleCall(id uint64, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if made := c.calls.pending[id]; made != nil {
		delete(c.calls.pending, id)
		made.answer <- a
	}
}

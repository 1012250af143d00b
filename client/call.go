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

// calls are the requests that wait for answers, guarded by the client's mu.
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
	body []byte
	err  error
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
	id, waiting, err := c.request(strings.TrimPrefix(method, "/"), body)
	if err != nil {
		return err
	}
	select {
	case a := <-waiting:
		if a.err != nil {
			return a.err
		}
		return wire.UnmarshalMessage(a.body, resp)
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.calls.pending, id)
		c.mu.Unlock()
		return im.Errorf(im.Unavailable, "no answer in time: %w", context.Cause(ctx))
	}
}

// request queues a call.
func (c *Client) request(method string, body []byte) (uint64, <-chan answer, error) {
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
	frames, err := wire.AppendMessage(q.frames, wire.TypeCall, &skeinv1.Call{Id: q.last, Method: method, Body: body})
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

// answer hands a caller its answer; one that nobody waits for any more is
// dropped.
func (c *Client) answer(payload []byte) error {
	var m skeinv1.Answer
	if err := wire.UnmarshalMessage(payload, &m); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	made := c.calls.pending[m.GetId()]
	if made == nil {
		return nil
	}
	delete(c.calls.pending, m.GetId())
	a := answer{body: m.GetBody()}
	if e := wire.ErrorFromProto(m.GetError()); e != nil {
		a.err = e
	}
	made.answer <- a
	return nil
}

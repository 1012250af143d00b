package client

import (
	"bytes"
	"context"

	"github.com/skein-im/skein/internal/clientcore"
	"github.com/skein-im/skein/internal/im"
)

// sendFunc hears of a send's answer. It is called without locks held.
type sendFunc func(Receipt, error)

// Send sends one message and waits until it is durable at the server, across
// lost links if need be. The errors that end it: the server's final refusal,
// the end of the client, and the end of ctx, after which the message may yet
// be accepted.
func (c *Client) Send(ctx context.Context, to UserID, content Content) (Receipt, error) {
	return c.SendTraced(ctx, to, content, 0)
}

// SendTraced is Send that asks the server to trace the message: every process
// that it comes through records when it had it, and what took how long, for an
// operator to look at. A server that is asked too often does not heed it.
func (c *Client) SendTraced(ctx context.Context, to UserID, content Content, trace TraceID) (Receipt, error) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return Receipt{}, im.Errorf(im.Busy, "the outbox is full: %w", context.Cause(ctx))
	case <-c.ctx.Done():
		return Receipt{}, c.Err()
	}
	type outcome struct {
		receipt Receipt
		err     error
	}
	ch := make(chan outcome, 1)
	if err := c.enqueue(to, content, trace, func(r Receipt, err error) { ch <- outcome{r, err} }); err != nil {
		return Receipt{}, err
	}
	select {
	case o := <-ch:
		return o.receipt, o.err
	case <-ctx.Done():
		return Receipt{}, im.Errorf(im.Unavailable, "no receipt in time; the message may have been accepted: %w", context.Cause(ctx))
	}
}

// SendText is Send with a text.
func (c *Client) SendText(ctx context.Context, to UserID, text string) (Receipt, error) {
	return c.Send(ctx, to, Text(text))
}

// SendAsync puts a message into the outbox and returns. answered is called
// once, with what Send would return, from the goroutine that reads the link:
// it must return at once and not call anything that waits. Busy: the outbox
// is full. The body is copied.
func (c *Client) SendAsync(to UserID, content Content, answered func(Receipt, error)) error {
	select {
	case c.slots <- struct{}{}:
	default:
		return im.Errorf(im.Busy, "%d sends wait for their receipts", cap(c.slots))
	}
	return c.enqueue(to, content, 0, answered)
}

// enqueue hands a send that has a slot to the core.
func (c *Client) enqueue(to UserID, content Content, trace TraceID, answered sendFunc) error {
	content.Body = bytes.Clone(content.Body)
	c.mu.Lock()
	err := c.err
	if err == nil {
		err = c.core.SendTraced(to, content, trace, answered)
		c.nudge()
	}
	c.mu.Unlock()
	if err != nil {
		<-c.slots
	}
	return err
}

// settle tells senders what became of their sends.
func (c *Client) settle(answers []clientcore.Answer[sendFunc]) {
	for i := range answers {
		a := &answers[i]
		<-c.slots
		switch {
		case a.Tag == nil:
		case a.Err != nil:
			a.Tag(Receipt{}, a.Err)
		default:
			a.Tag(Receipt{Seq: a.Seq, ClientSeq: a.ClientSeq, PairID: a.PairID, Time: timeOf(a.Time)}, nil)
		}
	}
}

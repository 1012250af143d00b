package im

import "context"

// Completion receives the outcome of a submitted command, exactly once. It is
// called by the mailbox after whatever the outcome reports is durable, and
// must return at once.
type Completion interface {
	Complete(cmd Command, res Result, err error)
}

// CompletionFunc adapts a function to Completion.
type CompletionFunc func(cmd Command, res Result, err error)

// Complete calls f.
func (f CompletionFunc) Complete(cmd Command, res Result, err error) { f(cmd, res, err) }

// Mailbox is the role that holds the entities.
type Mailbox interface {
	// Submit queues a command for an entity and returns at once. Commands
	// of one caller to one entity are applied in order. done may be nil.
	Submit(to Addr, cmd Command, done Completion)
	// ReadTimeline returns durable entries of a user's timeline after a
	// sequence, each an encoded skein.v1.Entry: at most limit, and at most
	// 1 MiB unless the first alone is larger. The first one may say that those
	// before the second are gone.
	ReadTimeline(ctx context.Context, user UserID, after Seq, limit int) ([][]byte, error)
	// ReadConversation returns durable entries of one conversation with
	// sequences up to and including from, newest first, and the sequence
	// to continue from (0: none left, or none that is kept).
	ReadConversation(ctx context.Context, user UserID, from Seq, limit int) ([][]byte, Seq, error)
}

// Do submits a command and waits for its result.
func Do(ctx context.Context, m Mailbox, to Addr, cmd Command) (Result, error) {
	type outcome struct {
		res Result
		err error
	}
	ch := make(chan outcome, 1)
	m.Submit(to, cmd, CompletionFunc(func(_ Command, res Result, err error) {
		ch <- outcome{res, err}
	}))
	select {
	case o := <-ch:
		return o.res, o.err
	case <-ctx.Done():
		return nil, Errorf(Unavailable, "the mailbox did not answer in time: %w", context.Cause(ctx))
	}
}

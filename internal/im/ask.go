package im

import "context"

// Ask submits a command and waits for its result, which is of type T.
func Ask[T any](ctx context.Context, m Mailbox, to Addr, cmd Command) (T, error) {
	var none T
	res, err := Do(ctx, m, to, cmd)
	if err != nil {
		return none, err
	}
	typed, ok := res.(T)
	if !ok {
		return none, Errorf(Internal, "%T was answered with %T", cmd, res)
	}
	return typed, nil
}

// Await calls start, and waits for what it hands to its argument.
func Await[T any](ctx context.Context, start func(done func(T, error))) (T, error) {
	type outcome struct {
		res T
		err error
	}
	ch := make(chan outcome, 1)
	start(func(res T, err error) { ch <- outcome{res, err} })
	select {
	case o := <-ch:
		return o.res, o.err
	case <-ctx.Done():
		var none T
		return none, Errorf(Unavailable, "there was no answer in time: %w", context.Cause(ctx))
	}
}

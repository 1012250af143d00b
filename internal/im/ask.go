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

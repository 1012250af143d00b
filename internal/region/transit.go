package region

import (
	"context"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// transit is the Local of a relay in a process of its own: what is for the
// region's mailboxes passes through to the nodes that have them. Users do not move
// from here, and no message stays.
type transit struct{ im.Mailbox }

func errTransit() error {
	return im.Errorf(im.Unimplemented, "a relay has no mailboxes; ask a mailbox node of the region")
}

// ReadStatement implements im.StatementReader.
func (transit) ReadStatement(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, errTransit()
}

// Level implements im.Leveler.
func (transit) Level() im.Level { return im.AnyLevel }

// Receive implements Local; Config.Carry takes every message before.
func (transit) Receive(*entity.Message) {}

// Records implements Local.
func (transit) Records(context.Context, im.Addr) ([]im.Record, error) { return nil, errTransit() }

// ReadLog implements Local.
func (transit) ReadLog(context.Context, im.Addr, im.Seq, int, int) ([]im.LogEntry, error) {
	return nil, errTransit()
}

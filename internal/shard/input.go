package shard

import (
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Input is one thing for an entity to do: a command or a link message.
type Input struct {
	To  im.Addr
	Cmd im.Command
	// Done hears of the command's outcome; it may be nil.
	Done im.Completion
	Msg  *entity.Message
	// Queued is when a command was submitted, by the clock that Handle's now
	// comes from.
	Queued im.Millis
}

// finish completes an input without a result, and with an error if it could
// not be applied. A link message needs no word: its sender retransmits.
func (in *Input) finish(err error) {
	if in.Done != nil {
		in.Done.Complete(in.Cmd, nil, err)
	}
}

// inputSize is about what an input takes without its contents.
const inputSize = 256

// size is about how many bytes an input holds.
func (in *Input) size() int {
	if in.Msg != nil {
		return inputSize + len(in.Msg.Body.Content.Body)
	}
	switch cmd := in.Cmd.(type) {
	case *im.Send:
		return inputSize + len(cmd.Content.Body)
	case *im.SendNumbered:
		return inputSize + len(cmd.Content.Body)
	case *im.CreateEnvelope:
		return inputSize + 8*len(cmd.To)
	case *im.RenewSets:
		return inputSize + 16*len(cmd.Sets)
	case *im.ReturnLeases:
		return inputSize + 8*len(cmd.Leases)
	case *im.Provision:
		return inputSize + 8*len(cmd.Friends) + 32*len(cmd.TokenHashes)
	}
	return inputSize
}

// started says that an input waits no longer.
func (c *Core) started(in *Input) {
	if in.Msg == nil && in.Queued != 0 {
		c.Stats.Queueing.Observe(duration(c.now - in.Queued))
	}
	if c.cfg.Started != nil {
		c.cfg.Started(in, c.now-in.Queued)
	}
}

// refuse ends an input that is not processed.
func (c *Core) refuse(in *Input, err error) {
	c.started(in)
	c.answer(in, nil, err)
}

// park keeps an input until its entity is loaded.
func (c *Core) park(cl *cell, in Input) {
	cl.parked = append(cl.parked, in)
	c.parked++
	c.parkedBytes += in.size()
}

// unpark takes out what waits for an entity.
func (c *Core) unpark(cl *cell) []Input {
	parked := cl.parked
	cl.parked = nil
	c.parked -= len(parked)
	for i := range parked {
		c.parkedBytes -= parked[i].size()
	}
	return parked
}

// waiting reports whether as much waits for loads as may.
func (c *Core) waiting() bool {
	return c.parked >= c.cfg.MaxParked || c.cfg.MaxParkedBytes > 0 && c.parkedBytes >= c.cfg.MaxParkedBytes
}

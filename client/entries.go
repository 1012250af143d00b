package client

import "github.com/skein-im/skein/internal/wire"

// Entries are the new entries, when Options.OnEntry is nil. An entry counts as
// stored, and will not come again, once it has been received from the
// channel. The channel is closed when the client ends.
func (c *Client) Entries() <-chan Entry { return c.entries }

// accept queues entries that have come. The caller holds mu.
func (c *Client) accept(entries []wire.Entry) {
	if len(entries) == 0 {
		return
	}
	for i := range entries {
		c.queue = append(c.queue, entryOf(&entries[i]))
	}
	c.untaken += len(entries)
	if c.untaken >= c.opts.Queue && !c.paused {
		c.paused = true
		c.core.Pause()
	}
	c.wakeDispatch()
}

func (c *Client) wakeDispatch() {
	select {
	case c.arrived <- struct{}{}:
	default:
	}
}

// dispatch hands entries and notices to the application.
func (c *Client) dispatch() {
	defer close(c.entries)
	var batch []Entry
	for {
		clear(batch)
		c.mu.Lock()
		batch, c.queue = c.queue, batch[:0]
		notices := c.notices
		c.notices = nil
		c.mu.Unlock()
		for _, n := range notices {
			c.opts.OnNotice(c, n)
		}
		if len(batch)+len(notices) == 0 {
			select {
			case <-c.arrived:
				continue
			case <-c.ctx.Done():
				return
			}
		}
		for i := range batch {
			if !c.hand(batch[i]) {
				return
			}
		}
	}
}

// hand gives one entry to the application; false: the client has ended.
func (c *Client) hand(e Entry) bool {
	if c.ctx.Err() != nil {
		return false
	}
	if c.opts.OnEntry != nil {
		if err := c.opts.OnEntry(c, e); err != nil {
			c.fail(err)
			return false
		}
	} else {
		select {
		case c.entries <- e:
		case <-c.ctx.Done():
			return false
		}
	}
	c.taken(e.Seq)
	return true
}

// taken notes that the application has an entry.
func (c *Client) taken(seq Seq) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.untaken--
	c.core.Taken(seq)
	if c.paused && c.untaken <= c.opts.Queue/2 {
		c.paused = false
		c.core.Unpause()
	}
	c.nudge()
}

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
		c.queue = append(c.queue, queued{entryOf(&entries[i]), c.rewinds})
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
	var batch []queued
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

// hand gives one entry to the application, unless the server has lost it; false: the
// client has ended.
func (c *Client) hand(q queued) bool {
	e := q.entry
	if c.ctx.Err() != nil {
		return false
	}
	if c.isLost(q) {
		c.taken(q)
		return true
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
	c.taken(q)
	return true
}

// queued is an entry that waits for the application, and after how many rewinds it
// came.
type queued struct {
	entry   Entry
	rewinds int
}

// rewound tells the application that the server has lost entries that had come.
// Those of them that wait are not handed over. The caller holds mu.
func (c *Client) rewound(lost uint64) {
	if lost == 0 {
		return
	}
	c.rewinds, c.kept = c.rewinds+1, Seq(c.core.Received())
	c.opts.Logger.Warn("the server has lost entries that had come", "after", uint64(c.kept), "entries", lost)
	c.queue = append(c.queue, queued{Entry{Kind: Rewound, Seq: c.kept}, c.rewinds})
	c.untaken++
	c.wakeDispatch()
}

// isLost: the server has lost the entry since it came, and its number belongs to
// another.
func (c *Client) isLost(q queued) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return q.rewinds != c.rewinds && q.entry.Seq > c.kept
}

// taken notes that the application has an entry.
func (c *Client) taken(q queued) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.untaken--
	if q.rewinds == c.rewinds || q.entry.Seq <= c.kept {
		c.core.Taken(q.entry.Seq)
	}
	if c.paused && c.untaken <= c.opts.Queue/2 {
		c.paused = false
		c.core.Unpause()
	}
	c.nudge()
}

package shard

import (
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/telemetry"
)

// Kinds is how many kinds of errors are told apart; one that is not known here
// counts as im.Internal.
const Kinds = int(im.AllGone) + 1

// Stats are a Core's counters, and gauges of the moment.
type Stats struct {
	Commands, Messages, Acks      uint64
	Commits, CommitErrors, Fenced uint64
	Entries, Records, Trimmed     uint64
	Delivered, Retransmitted      uint64
	Loads, LoadErrors, Evictions  uint64
	Hot, Sessions, Parked         int

	// Errors counts commands that failed, by kind.
	Errors [Kinds]uint64
	// Took is how long commands took from Submit to their answer, by
	// operation, and Queueing how long they waited to be begun. The Core's
	// clock is in milliseconds.
	Took     [Ops]telemetry.Counts
	Queueing telemetry.Counts
	// BatchSize is how many entities a batch had changes or answers of.
	BatchSize telemetry.Counts
	// LinkTrip is how long link messages took to be acknowledged. Owed is
	// how many are not, and OldestOwed for how long the oldest of those that
	// had to be sent again has been waiting; see outbox.
	LinkTrip   telemetry.Counts
	Owed       int
	OldestOwed time.Duration
	Money      MoneyStats
	// Rewound is what links have gone through since stores lost their ends.
	Rewound entity.Rewound
}

// MoneyStats count what became of money. Repeated commands do not count.
type MoneyStats struct {
	// Envelopes were sent, and shares of them Opened. Campaigns were made,
	// Leased are the envelopes they have lent, and Won those that were won.
	Envelopes, Opened, Campaigns, Leased, Won uint64
	// TopUps and Withdrawals are payments.
	TopUps, Withdrawals uint64
}

// count counts the result of a command that has changed something.
func (st *MoneyStats) count(res im.Result) {
	switch res := res.(type) {
	case *im.Sent:
	case *im.EnvelopeCreated:
		st.Envelopes++
	case *im.Opened:
		st.Opened++
	case *im.CampaignCreated:
		st.Campaigns++
	case *im.Leases:
		st.Leased += uint64(len(res.Leases))
	case *im.Claimed:
		if res.Outcome == im.ClaimWon {
			st.Won++
		}
	case *im.PaymentInfo:
		if res.State == im.PaymentToppedUp {
			st.TopUps++
		}
	case *im.Withdrawal:
		st.Withdrawals++
	}
}

// answer completes a command, and counts how it ended.
func (c *Core) answer(in *Input, res im.Result, err error) {
	if in.Msg != nil {
		return
	}
	if err != nil {
		c.Stats.Errors[KindIndex(err)]++
	}
	if in.Queued != 0 {
		c.Stats.Took[OpOf(in.Cmd)].Observe(duration(c.now - in.Queued))
	}
	if in.Done != nil {
		in.Done.Complete(in.Cmd, res, err)
	}
}

// KindIndex is where an error is counted.
func KindIndex(err error) int {
	if k := int(im.KindOf(err)); k < Kinds {
		return k
	}
	return int(im.Internal)
}

func duration(d im.Millis) time.Duration { return time.Duration(d) * time.Millisecond }

// measure takes note of what a call on an entity says of its links.
func (c *Core) measure(cl *cell, tx *entity.Tx, st entity.Status) {
	if tx.Trip != 0 {
		c.Stats.LinkTrip.Observe(duration(tx.Trip))
	}
	if tx.Waited != 0 {
		c.outbox.waited(c.now, tx.Waited)
	}
	c.Stats.Rewound.Add(&tx.Rewound)
	if int(cl.owed) != st.Outstanding {
		c.owes(cl, st.Outstanding)
	}
}

// owes counts an entity's unacknowledged link messages.
func (c *Core) owes(cl *cell, n int) {
	c.Stats.Owed += n - int(cl.owed)
	cl.owed = int32(n)
}

// outboxWindow is longer than the longest pause between two attempts to send a
// message, so that each window hears of every message that is stuck.
const outboxWindow = 40_000

// outbox remembers the age of the oldest unacknowledged message among those
// that were sent again lately: a message says how old it is each time. One that
// arrives at the first attempt does not count; the age of one that has arrived
// at last is forgotten after one to two windows.
type outbox struct {
	begun      im.Millis
	this, last im.Millis
}

func (o *outbox) waited(now, age im.Millis) {
	o.turn(now)
	o.this = max(o.this, age)
}

func (o *outbox) turn(now im.Millis) {
	switch passed := now - o.begun; {
	case passed >= 2*outboxWindow:
		*o = outbox{begun: now}
	case passed >= outboxWindow:
		*o = outbox{begun: now, last: o.this}
	}
}

// oldest is the age, seen from now.
func (o *outbox) oldest(now im.Millis) time.Duration {
	o.turn(now)
	return duration(max(o.this, o.last))
}

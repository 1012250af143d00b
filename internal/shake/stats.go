package shake

import "github.com/skein-im/skein/internal/im"

// Stats are a Desk's counters and gauges.
type Stats struct {
	// Outcomes counts answers by im.ShakeOutcome.
	Outcomes [im.ShakeBusy + 1]uint64
	// Leases came. Claimed were won, Late refused by the campaign, Returned
	// given back, Expired not used in time, Abandoned those of claims whose
	// fate stayed unknown. The others are Queued or Claiming.
	Leases, Claimed, Late, Returned, Expired, Abandoned uint64
	Queued, Claiming                                    int
	// Repeated counts claims that were submitted again.
	Repeated uint64
	// Renewals and those that Failed.
	Renewals, Failed uint64
	// Campaigns are known now.
	Campaigns int
}

// add sums what SETs count.
func (st *Stats) add(o *Stats) {
	for i, n := range o.Outcomes {
		st.Outcomes[i] += n
	}
	st.Claimed += o.Claimed
	st.Late += o.Late
	st.Expired += o.Expired
	st.Abandoned += o.Abandoned
	st.Repeated += o.Repeated
}

// Stats returns the counters now.
func (d *Desk) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	st := d.stats
	st.Campaigns, st.Returned = len(d.campaigns), d.returned.Load()
	for i := range d.sets {
		s := &d.sets[i]
		s.mu.Lock()
		st.add(&s.stats)
		st.Claiming += len(s.claims)
		for _, q := range s.queues {
			st.Queued += q.len()
		}
		s.mu.Unlock()
	}
	return st
}

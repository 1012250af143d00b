package shake

import "github.com/skein-im/skein/internal/im"

// returnLeases gives leases back to their campaign. Those whose return fails
// expire there. It needs no lock, and may be called with any.
func (d *Desk) returnLeases(id im.CampaignID, leases []im.LeaseID) {
	d.returned.Add(uint64(len(leases)))
	for len(leases) > 0 {
		n := min(len(leases), im.MaxWant)
		d.open.Add(1)
		d.cfg.Mailbox.Submit(im.Campaign(id), &im.ReturnLeases{Leases: leases[:n]}, returned{d})
		leases = leases[n:]
	}
}

// returned is told when leases have been returned, or not.
type returned struct{ desk *Desk }

// Complete implements im.Completion.
func (r returned) Complete(im.Command, im.Result, error) { r.desk.open.Done() }

func idsOf(leases []im.Lease) []im.LeaseID {
	ids := make([]im.LeaseID, 0, len(leases))
	for _, l := range leases {
		ids = append(ids, l.ID)
	}
	return ids
}

package im

// Open opens a share of an envelope for a user: sent to the envelope, by a
// gateway that knows who the user is. The answer is durable, and so is that
// the money follows: it arrives in the wallet, with a timeline entry, over the
// link from envelope to user. Each user gets one share; repeating Open gives
// the first answer. Result: *Opened.
type Open struct{ User UserID }

// Opened answers Open.
type Opened struct {
	Sender UserID
	Cents  Cents
	Time   Millis
}

// GetEnvelope asks an envelope what became of it: sent to the envelope, for
// its sender or a receiver. Result: *EnvelopeInfo.
type GetEnvelope struct{ User UserID }

// EnvelopeInfo describes an envelope.
type EnvelopeInfo struct {
	Sender           UserID
	Total            Cents
	Shares           uint32
	Rule             SplitRule
	Text             string
	Created, Expires Millis
	To               []UserID
	// Openings, in order.
	Openings []Opening
	// Finished: nothing is left in it, because all shares were opened or
	// the rest went back.
	Finished bool
	// Returned is what went back to the sender.
	Returned Cents
}

// Opening is one opened share.
type Opening struct {
	User  UserID
	Cents Cents
	Time  Millis
}

// SetID names a SET: a part of a gateway process with its own queue of leases.
// It is never reused: a process that starts again takes new ones.
type SetID uint64

// LeaseID numbers what a campaign lends, densely from 1.
type LeaseID uint64

// Lease is an envelope of a campaign lent to a SET, which may claim it for a
// user.
type Lease struct {
	ID    LeaseID
	Set   SetID
	Cents Cents
	// Expires is the campaign's time after which a claim is refused.
	Expires Millis
}

// RenewSets asks a campaign for envelopes: sent to the campaign by a gateway,
// now and then, for SETs of its own. SETs that ask get their turns; one that
// has not asked for SetSilence gets none. A repeated request gets further
// leases; those of a lost answer return when they expire. Result: *Leases.
type RenewSets struct{ Sets []SetWant }

// SetWant is how many more envelopes a SET has room for.
type SetWant struct {
	Set  SetID
	Want uint32
}

// Leases answers RenewSets.
type Leases struct {
	Leases []Lease
	// Now is the campaign's time, with which Expires compares.
	Now        Millis
	Start, End Millis
	// Over: there will be no more.
	Over bool
}

// ReturnLeases gives back what SETs will not claim, because they end. Leases
// that are not there any more are passed over. Result: nil.
type ReturnLeases struct{ Leases []LeaseID }

// Claim asks for a leased envelope for a user: sent to the campaign by the
// gateway whose SET has the lease. The answer is durable, and so is that the
// money follows to the wallet. A repeated claim gets its first answer.
// Result: *Claimed.
type Claim struct {
	Lease LeaseID
	Set   SetID
	User  UserID
}

// ClaimOutcome says what became of a claim.
type ClaimOutcome uint8

// Claim outcomes.
const (
	// ClaimWon: the user has it.
	ClaimWon ClaimOutcome = 1
	// ClaimLate: the lease has expired, was returned, or is another's. The
	// SET forgets it.
	ClaimLate ClaimOutcome = 2
	// ClaimLimit: the user has won as often as allowed. The lease stays with
	// the SET.
	ClaimLimit ClaimOutcome = 3
	// ClaimOver: the campaign has ended.
	ClaimOver ClaimOutcome = 4
)

// Claimed answers Claim.
type Claimed struct {
	Outcome ClaimOutcome
	Cents   Cents
	Time    Millis
	// Last: with this win the user has won as often as allowed.
	Last bool
}

// GetCampaign asks a campaign how it stands. Result: *CampaignInfo.
type GetCampaign struct{}

// CampaignInfo describes a campaign.
type CampaignInfo struct {
	Sponsor    UserID
	Terms      CreateCampaign
	Issued     uint32
	Won        uint32
	WonCents   Cents
	Leased     uint32
	Winners    uint32
	Finished   bool
	Returned   Cents
	ActiveSets uint32
}

func (*Open) command()         {}
func (*GetEnvelope) command()  {}
func (*RenewSets) command()    {}
func (*ReturnLeases) command() {}
func (*Claim) command()        {}
func (*GetCampaign) command()  {}

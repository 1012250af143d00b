package shard

import "github.com/skein-im/skein/internal/im"

// Op is a group of commands whose times are counted together: what costs about
// the same, and is asked for by the same people.
type Op uint8

// The operations.
const (
	// OpOther are commands that are not known here.
	OpOther Op = iota
	OpSend
	OpAttach
	OpDetach
	OpAck
	OpRedeliver
	OpAuthenticate
	OpAccount
	OpContact
	OpRead
	OpWallet
	OpEnvelope
	OpCampaign
	OpClaim
	// Ops is how many there are.
	Ops
)

var opNames = [Ops]string{
	"other", "send", "attach", "detach", "ack", "redeliver", "authenticate", "account",
	"contact", "read", "wallet", "envelope", "campaign", "claim",
}

func (o Op) String() string { return opNames[o] }

// OpOf is the operation of a command.
func OpOf(cmd im.Command) Op {
	switch cmd.(type) {
	case *im.Send, *im.SendNumbered:
		return OpSend
	case *im.AckDelivered:
		return OpAck
	case *im.Attach:
		return OpAttach
	case *im.Detach:
		return OpDetach
	case *im.Redeliver:
		return OpRedeliver
	case *im.Claim:
		return OpClaim
	}
	return rareOpOf(cmd)
}

// rareOpOf is for those that are not asked for all the time.
func rareOpOf(cmd im.Command) Op {
	switch cmd.(type) {
	case *im.Authenticate:
		return OpAuthenticate
	case *im.CreateUser, *im.CreateDevice, *im.RevokeDevice, *im.Provision, *im.BindName, *im.LookupName, *im.AllocateUsers, *im.Tidy,
		*im.SetHome, *im.Depart, *im.Depose, *im.Arrive, *im.ImportLog, *im.ImportRecords, *im.Inhabit:
		return OpAccount
	case *im.Contact:
		return OpContact
	case *im.ListDevices, *im.ListContacts, *im.Counters, *im.GetHome, *im.GetWallet, *im.GetEnvelope, *im.GetCampaign, *im.GetPayment:
		return OpRead
	case *im.TopUp, *im.Withdraw, *im.Settle:
		return OpWallet
	case *im.CreateEnvelope, *im.Open:
		return OpEnvelope
	case *im.CreateCampaign, *im.RenewSets, *im.ReturnLeases:
		return OpCampaign
	}
	return OpOther
}

package remote

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/skein-im/skein/internal/im"
)

// slot is one field of a message M; its number is its place in the list of
// slots.
type slot[M any] struct {
	append func(dst []byte, num int, m *M) []byte
	set    func(m *M, f *fields)
}

func num[M any, T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int64](at func(*M) *T) slot[M] {
	return slot[M]{
		append: func(dst []byte, num int, m *M) []byte { return appendUint(dst, num, *at(m)) },
		set: func(m *M, f *fields) {
			v := f.uint()
			*at(m) = T(v)
			if uint64(T(v)) != v {
				f.bad = true
			}
		},
	}
}

func str[M any](at func(*M) *string) slot[M] {
	return slot[M]{
		append: func(dst []byte, num int, m *M) []byte { return appendBytes(dst, num, *at(m)) },
		set:    func(m *M, f *fields) { *at(m) = f.string() },
	}
}

func flag[M any](at func(*M) *bool) slot[M] {
	return slot[M]{
		append: func(dst []byte, num int, m *M) []byte { return appendBool(dst, num, *at(m)) },
		set:    func(m *M, f *fields) { *at(m) = f.bool() },
	}
}

func ids[M any, T ~uint64](at func(*M) *[]T) slot[M] {
	return slot[M]{
		append: func(dst []byte, num int, m *M) []byte { return appendNumbers(dst, num, *at(m)) },
		set:    func(m *M, f *fields) { *at(m) = numbers(f, *at(m)) },
	}
}

// part is a message inside a message.
func part[M, E any](at func(*M) *E, slots []slot[E]) slot[M] {
	return slot[M]{
		append: func(dst []byte, num int, m *M) []byte {
			return appendNested(dst, num, func(dst []byte) []byte { return appendSlots(dst, at(m), slots) })
		},
		set: func(m *M, f *fields) { f.nest(readInto(at(m), f.bytes(), "part", setSlots(slots))) },
	}
}

// parts is a list of messages inside a message.
func parts[M, E any](at func(*M) *[]E, slots []slot[E]) slot[M] {
	return slot[M]{
		append: func(dst []byte, num int, m *M) []byte {
			for i := range *at(m) {
				dst = appendNested(dst, num, func(dst []byte) []byte { return appendSlots(dst, &(*at(m))[i], slots) })
			}
			return dst
		},
		set: func(m *M, f *fields) {
			var e E
			f.nest(readInto(&e, f.bytes(), "part", setSlots(slots)))
			*at(m) = append(*at(m), e)
		},
	}
}

func appendSlots[M any](dst []byte, m *M, slots []slot[M]) []byte {
	for i := range slots {
		dst = slots[i].append(dst, i+1, m)
	}
	return dst
}

func setSlots[M any](slots []slot[M]) func(*M, *fields) {
	return func(m *M, f *fields) {
		if f.num >= 1 && f.num <= protowire.Number(len(slots)) {
			slots[f.num-1].set(m, f)
		}
	}
}

// commandOf and resultOf are command and result from a list of slots.
func commandOf[C any, P interface {
	*C
	im.Command
}](code uint64, name string, slots ...slot[C]) commandCodec {
	set := setSlots(slots)
	return command(code, name, func(b []byte, m P) []byte { return appendSlots(b, (*C)(m), slots) },
		func(m P, f *fields) { set((*C)(m), f) })
}

func resultOf[R any](code uint64, name string, slots ...slot[R]) resultCodec {
	return result(code, name, func(b []byte, r *R) []byte { return appendSlots(b, r, slots) }, setSlots(slots))
}

var keySlots = []slot[im.Key]{
	str(func(k *im.Key) *string { return &k.Name }),
	num(func(k *im.Key) *im.Millis { return &k.Asked }),
}

var campaignSlots = []slot[im.CreateCampaign]{
	part(func(m *im.CreateCampaign) *im.Key { return &m.Key }, keySlots),
	num(func(m *im.CreateCampaign) *im.Cents { return &m.Total }),
	num(func(m *im.CreateCampaign) *uint32 { return &m.Count }),
	num(func(m *im.CreateCampaign) *im.SplitRule { return &m.Rule }),
	num(func(m *im.CreateCampaign) *uint32 { return &m.Rate }),
	num(func(m *im.CreateCampaign) *im.Millis { return &m.Start }),
	num(func(m *im.CreateCampaign) *im.Millis { return &m.End }),
	num(func(m *im.CreateCampaign) *uint32 { return &m.Limit }),
	num(func(m *im.CreateCampaign) *im.Millis { return &m.Lease }),
	str(func(m *im.CreateCampaign) *string { return &m.Title }),
}

// moneyCommands are the codecs of commands about money.
var moneyCommands = []commandCodec{
	commandOf(21, "Claim",
		num(func(m *im.Claim) *im.LeaseID { return &m.Lease }),
		num(func(m *im.Claim) *im.SetID { return &m.Set }),
		num(func(m *im.Claim) *im.UserID { return &m.User })),
	commandOf(22, "RenewSets", parts(func(m *im.RenewSets) *[]im.SetWant { return &m.Sets }, []slot[im.SetWant]{
		num(func(m *im.SetWant) *im.SetID { return &m.Set }),
		num(func(m *im.SetWant) *uint32 { return &m.Want }),
	})),
	commandOf(23, "Open", num(func(m *im.Open) *im.UserID { return &m.User })),
	commandOf(24, "CreateEnvelope",
		part(func(m *im.CreateEnvelope) *im.Key { return &m.Key }, keySlots),
		num(func(m *im.CreateEnvelope) *im.DeviceID { return &m.Device }),
		ids(func(m *im.CreateEnvelope) *[]im.UserID { return &m.To }),
		num(func(m *im.CreateEnvelope) *im.Cents { return &m.Total }),
		num(func(m *im.CreateEnvelope) *uint32 { return &m.Shares }),
		num(func(m *im.CreateEnvelope) *im.SplitRule { return &m.Rule }),
		str(func(m *im.CreateEnvelope) *string { return &m.Text }),
		num(func(m *im.CreateEnvelope) *im.Millis { return &m.Lifetime })),
	commandOf(25, "CreateCampaign", campaignSlots...),
	commandOf(26, "TopUp",
		str(func(m *im.TopUp) *string { return &m.Reference }),
		num(func(m *im.TopUp) *im.UserID { return &m.User }),
		num(func(m *im.TopUp) *im.Cents { return &m.Cents }),
		str(func(m *im.TopUp) *string { return &m.Text })),
	commandOf(27, "Withdraw",
		part(func(m *im.Withdraw) *im.Key { return &m.Key }, keySlots),
		num(func(m *im.Withdraw) *im.Cents { return &m.Cents }),
		str(func(m *im.Withdraw) *string { return &m.Text })),
	commandOf(28, "Settle", flag(func(m *im.Settle) *bool { return &m.Paid })),
	empty[im.GetWallet](29, "GetWallet"),
	empty[im.GetPayment](30, "GetPayment"),
	commandOf(31, "GetEnvelope", num(func(m *im.GetEnvelope) *im.UserID { return &m.User })),
	empty[im.GetCampaign](32, "GetCampaign"),
	commandOf(33, "ReturnLeases", ids(func(m *im.ReturnLeases) *[]im.LeaseID { return &m.Leases })),
}

// moneyResults are the codecs of results about money.
var moneyResults = []resultCodec{
	resultOf(12, "Claimed",
		num(func(r *im.Claimed) *im.ClaimOutcome { return &r.Outcome }),
		num(func(r *im.Claimed) *im.Cents { return &r.Cents }),
		num(func(r *im.Claimed) *im.Millis { return &r.Time }),
		flag(func(r *im.Claimed) *bool { return &r.Last })),
	resultOf(13, "Leases",
		parts(func(r *im.Leases) *[]im.Lease { return &r.Leases }, []slot[im.Lease]{
			num(func(r *im.Lease) *im.LeaseID { return &r.ID }),
			num(func(r *im.Lease) *im.SetID { return &r.Set }),
			num(func(r *im.Lease) *im.Cents { return &r.Cents }),
			num(func(r *im.Lease) *im.Millis { return &r.Expires }),
		}),
		num(func(r *im.Leases) *im.Millis { return &r.Now }),
		num(func(r *im.Leases) *im.Millis { return &r.Start }),
		num(func(r *im.Leases) *im.Millis { return &r.End }),
		flag(func(r *im.Leases) *bool { return &r.Over })),
	resultOf(14, "Opened",
		num(func(r *im.Opened) *im.UserID { return &r.Sender }),
		num(func(r *im.Opened) *im.Cents { return &r.Cents }),
		num(func(r *im.Opened) *im.Millis { return &r.Time })),
	resultOf(15, "EnvelopeCreated",
		num(func(r *im.EnvelopeCreated) *im.EnvelopeID { return &r.Envelope }),
		num(func(r *im.EnvelopeCreated) *im.Seq { return &r.Seq }),
		num(func(r *im.EnvelopeCreated) *im.Millis { return &r.Expires })),
	resultOf(16, "CampaignCreated",
		num(func(r *im.CampaignCreated) *im.CampaignID { return &r.Campaign }),
		num(func(r *im.CampaignCreated) *im.Seq { return &r.Seq })),
	resultOf(17, "Withdrawal",
		num(func(r *im.Withdrawal) *im.PaymentID { return &r.Payment }),
		num(func(r *im.Withdrawal) *im.Seq { return &r.Seq })),
	resultOf(18, "WalletInfo",
		num(func(r *im.WalletInfo) *im.Cents { return &r.Balance }),
		num(func(r *im.WalletInfo) *im.Seq { return &r.LastSeq })),
	resultOf(19, "PaymentInfo",
		num(func(r *im.PaymentInfo) *im.PaymentID { return &r.Payment }),
		str(func(r *im.PaymentInfo) *string { return &r.Reference }),
		num(func(r *im.PaymentInfo) *im.UserID { return &r.User }),
		num(func(r *im.PaymentInfo) *im.Cents { return &r.Cents }),
		str(func(r *im.PaymentInfo) *string { return &r.Text }),
		num(func(r *im.PaymentInfo) *im.PaymentState { return &r.State }),
		num(func(r *im.PaymentInfo) *im.Millis { return &r.Time })),
	resultOf(20, "EnvelopeInfo",
		num(func(r *im.EnvelopeInfo) *im.UserID { return &r.Sender }),
		num(func(r *im.EnvelopeInfo) *im.Cents { return &r.Total }),
		num(func(r *im.EnvelopeInfo) *uint32 { return &r.Shares }),
		num(func(r *im.EnvelopeInfo) *im.SplitRule { return &r.Rule }),
		str(func(r *im.EnvelopeInfo) *string { return &r.Text }),
		num(func(r *im.EnvelopeInfo) *im.Millis { return &r.Created }),
		num(func(r *im.EnvelopeInfo) *im.Millis { return &r.Expires }),
		ids(func(r *im.EnvelopeInfo) *[]im.UserID { return &r.To }),
		parts(func(r *im.EnvelopeInfo) *[]im.Opening { return &r.Openings }, []slot[im.Opening]{
			num(func(r *im.Opening) *im.UserID { return &r.User }),
			num(func(r *im.Opening) *im.Cents { return &r.Cents }),
			num(func(r *im.Opening) *im.Millis { return &r.Time }),
		}),
		flag(func(r *im.EnvelopeInfo) *bool { return &r.Finished }),
		num(func(r *im.EnvelopeInfo) *im.Cents { return &r.Returned })),
	resultOf(21, "CampaignInfo",
		num(func(r *im.CampaignInfo) *im.UserID { return &r.Sponsor }),
		part(func(r *im.CampaignInfo) *im.CreateCampaign { return &r.Terms }, campaignSlots),
		num(func(r *im.CampaignInfo) *uint32 { return &r.Issued }),
		num(func(r *im.CampaignInfo) *uint32 { return &r.Won }),
		num(func(r *im.CampaignInfo) *im.Cents { return &r.WonCents }),
		num(func(r *im.CampaignInfo) *uint32 { return &r.Leased }),
		num(func(r *im.CampaignInfo) *uint32 { return &r.Winners }),
		flag(func(r *im.CampaignInfo) *bool { return &r.Finished }),
		num(func(r *im.CampaignInfo) *im.Cents { return &r.Returned }),
		num(func(r *im.CampaignInfo) *uint32 { return &r.ActiveSets })),
}

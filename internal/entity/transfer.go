package entity

import (
	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

// transferBody is the link message that says something of money.
func transferBody(kind BodyKind, now im.Millis, t *storev1.Transfer) Body {
	b, err := proto.Marshal(t)
	if err != nil {
		// Only text that is not UTF-8 cannot be encoded, and commands with
		// such are refused.
		panic("entity: a transfer cannot be encoded: " + err.Error())
	}
	return Body{Kind: kind, Time: now, Content: im.Content{Body: b}}
}

// transferIn reads the transfer of a link message; nil: there is none.
func transferIn(b *Body) *storev1.Transfer {
	var t storev1.Transfer
	switch b.Kind {
	case BodyFund, BodyNotice, BodyCredit:
	default:
		return nil
	}
	if proto.Unmarshal(b.Content.Body, &t) != nil || t.Cents < 0 || im.Cents(t.Cents) > im.MaxMoney {
		return nil
	}
	return &t
}

// isPurse reports whether entities of a kind hold money for users.
func isPurse(k im.Kind) bool {
	return k == im.KindEnvelope || k == im.KindCampaign || k == im.KindPayment
}

func moneyEvent(e im.MoneyEvent) skeinv1.MoneyEvent { return skeinv1.MoneyEvent(e) }
func splitRule(r im.SplitRule) skeinv1.SplitRule    { return skeinv1.SplitRule(r) }

func userIDs(ids []im.UserID) []uint64 {
	out := make([]uint64, len(ids))
	for i, id := range ids {
		out[i] = uint64(id)
	}
	return out
}

func cents(shares []im.Cents) []int64 {
	out := make([]int64, len(shares))
	for i, c := range shares {
		out[i] = int64(c)
	}
	return out
}

package wire

import "github.com/skein-im/skein/internal/im"

// Money is skein.v1.Money, what an entry says of money.
type Money struct {
	Event im.MoneyEvent
	// Cents is what the balance changed by, Balance what it is then. Prev is
	// the entry before this one in the statement.
	Cents, Balance im.Cents
	Prev           im.Seq
	// Ref is the envelope, campaign or payment.
	Ref       uint64
	Total     im.Cents
	Shares    uint32
	Rule      im.SplitRule
	Expires   im.Millis
	Receivers uint32
}

// moneyLen is the size of a Money without its own key and length.
func moneyLen(m *Money) int {
	return sizeUint(uint64(m.Event)) +
		sizeUint(uint64(m.Cents)) +
		sizeUint(uint64(m.Balance)) +
		sizeUint(uint64(m.Prev)) +
		sizeUint(m.Ref) +
		sizeUint(uint64(m.Total)) +
		sizeUint(uint64(m.Shares)) +
		sizeUint(uint64(m.Rule)) +
		sizeUint(uint64(m.Expires)) +
		sizeUint(uint64(m.Receivers))
}

func sizeMoney(m *Money) int {
	if m == nil {
		return 0
	}
	return sizeField(moneyLen(m))
}

func appendMoney(dst []byte, num int, m *Money) []byte {
	if m == nil {
		return dst
	}
	dst = appendOpen(dst, num, moneyLen(m))
	dst = appendUint(dst, 1, uint64(m.Event))
	dst = appendUint(dst, 2, uint64(m.Cents))
	dst = appendUint(dst, 3, uint64(m.Balance))
	dst = appendUint(dst, 4, uint64(m.Prev))
	dst = appendUint(dst, 5, m.Ref)
	dst = appendUint(dst, 6, uint64(m.Total))
	dst = appendUint(dst, 7, uint64(m.Shares))
	dst = appendUint(dst, 8, uint64(m.Rule))
	dst = appendUint(dst, 9, uint64(m.Expires))
	return appendUint(dst, 10, uint64(m.Receivers))
}

// readMoney reads into m, over what an earlier occurrence of the field left
// there.
func readMoney(b []byte, m *Money) bool {
	r := reader{rest: b}
	for r.next() {
		switch r.key {
		case 1<<3 | varint:
			m.Event = im.MoneyEvent(r.u8())
		case 2<<3 | varint:
			m.Cents = im.Cents(r.u)
		case 3<<3 | varint:
			m.Balance = im.Cents(r.u)
		case 4<<3 | varint:
			m.Prev = im.Seq(r.u)
		case 5<<3 | varint:
			m.Ref = r.u
		case 6<<3 | varint:
			m.Total = im.Cents(r.u)
		case 7<<3 | varint:
			m.Shares = r.u32()
		case 8<<3 | varint:
			m.Rule = im.SplitRule(r.u8())
		case 9<<3 | varint:
			m.Expires = im.Millis(r.u)
		case 10<<3 | varint:
			m.Receivers = r.u32()
		}
	}
	return !r.bad
}

package wire

import "github.com/skein-im/skein/internal/im"

// Shake is skein.v1.Shake.
type Shake struct {
	ID       uint64
	Campaign im.CampaignID
}

// SizeShake is how many bytes AppendShake appends.
func SizeShake(m *Shake) int { return sizeUint(m.ID) + sizeUint(uint64(m.Campaign)) }

// AppendShake appends the encoded message.
func AppendShake(dst []byte, m *Shake) []byte {
	dst = appendUint(dst, 1, m.ID)
	return appendUint(dst, 2, uint64(m.Campaign))
}

// AppendShakeFrame appends the message in a frame.
func AppendShakeFrame(dst []byte, m *Shake) []byte {
	return AppendShake(AppendHeader(dst, TypeShake, SizeShake(m)), m)
}

// Unmarshal reads an encoded message.
func (m *Shake) Unmarshal(b []byte) error {
	*m = Shake{}
	r := reader{rest: b}
	for r.next() {
		switch r.key {
		case 1<<3 | varint:
			m.ID = r.u
		case 2<<3 | varint:
			m.Campaign = im.CampaignID(r.u)
		}
	}
	return r.end("Shake")
}

// Shaken is skein.v1.Shaken.
type Shaken struct {
	ID uint64
	im.Shaken
}

// SizeShaken is how many bytes AppendShaken appends.
func SizeShaken(m *Shaken) int {
	return sizeUint(m.ID) +
		sizeUint(uint64(m.Outcome)) +
		sizeUint(uint64(m.Cents)) +
		sizeUint(uint64(m.RetryAfterMS))
}

// AppendShaken appends the encoded message.
func AppendShaken(dst []byte, m *Shaken) []byte {
	dst = appendUint(dst, 1, m.ID)
	dst = appendUint(dst, 2, uint64(m.Outcome))
	dst = appendUint(dst, 3, uint64(m.Cents))
	return appendUint(dst, 4, uint64(m.RetryAfterMS))
}

// AppendShakenFrame appends the message in a frame.
func AppendShakenFrame(dst []byte, m *Shaken) []byte {
	return AppendShaken(AppendHeader(dst, TypeShaken, SizeShaken(m)), m)
}

// Unmarshal reads an encoded message.
func (m *Shaken) Unmarshal(b []byte) error {
	*m = Shaken{}
	r := reader{rest: b}
	for r.next() {
		switch r.key {
		case 1<<3 | varint:
			m.ID = r.u
		case 2<<3 | varint:
			m.Outcome = im.ShakeOutcome(r.u8())
		case 3<<3 | varint:
			m.Cents = im.Cents(r.u)
		case 4<<3 | varint:
			m.RetryAfterMS = r.u32()
		}
	}
	return r.end("Shaken")
}

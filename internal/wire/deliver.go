package wire

import "github.com/skein-im/skein/internal/im"

// SizeDeliver is how many bytes AppendDeliver appends.
func SizeDeliver(entries [][]byte) int {
	n := 0
	for _, e := range entries {
		n += sizeField(len(e))
	}
	return n
}

// SizeDelivered is what one encoded entry of n bytes adds to a Deliver.
func SizeDelivered(n int) int { return sizeField(n) }

// AppendDeliver appends a skein.v1.Deliver of entries that are encoded
// already.
func AppendDeliver(dst []byte, entries [][]byte) []byte {
	for _, e := range entries {
		dst = append(appendOpen(dst, 1, len(e)), e...)
	}
	return dst
}

// AppendDeliverFrame appends the message in a frame.
func AppendDeliverFrame(dst []byte, entries [][]byte) []byte {
	return AppendDeliver(AppendHeader(dst, TypeDeliver, SizeDeliver(entries)), entries)
}

// RangeDeliver calls fn for each encoded entry of a Deliver, in order, until
// fn fails; it returns that error. Entries alias payload and are not decoded.
func RangeDeliver(payload []byte, fn func(entry []byte) error) error {
	r := reader{rest: payload}
	for r.next() {
		if r.key != 1<<3|bytes {
			continue
		}
		if err := fn(r.data); err != nil {
			return err
		}
	}
	return r.end("Deliver")
}

// Ack is skein.v1.Ack.
type Ack struct{ Seq im.Seq }

// SizeAck is how many bytes AppendAck appends.
func SizeAck(m *Ack) int { return sizeUint(uint64(m.Seq)) }

// AppendAck appends the encoded message.
func AppendAck(dst []byte, m *Ack) []byte { return appendUint(dst, 1, uint64(m.Seq)) }

// AppendAckFrame appends the message in a frame.
func AppendAckFrame(dst []byte, m *Ack) []byte {
	return AppendAck(AppendHeader(dst, TypeAck, SizeAck(m)), m)
}

// Unmarshal reads an encoded message.
func (m *Ack) Unmarshal(b []byte) (err error) {
	m.Seq, err = readSeq(b, "Ack")
	return err
}

// Pull is skein.v1.Pull.
type Pull struct{ Seq im.Seq }

// SizePull is how many bytes AppendPull appends.
func SizePull(m *Pull) int { return sizeUint(uint64(m.Seq)) }

// AppendPull appends the encoded message.
func AppendPull(dst []byte, m *Pull) []byte { return appendUint(dst, 1, uint64(m.Seq)) }

// AppendPullFrame appends the message in a frame.
func AppendPullFrame(dst []byte, m *Pull) []byte {
	return AppendPull(AppendHeader(dst, TypePull, SizePull(m)), m)
}

// Unmarshal reads an encoded message.
func (m *Pull) Unmarshal(b []byte) (err error) {
	m.Seq, err = readSeq(b, "Pull")
	return err
}

// readSeq reads a message whose only field is a sequence.
func readSeq(b []byte, what string) (seq im.Seq, err error) {
	r := reader{rest: b}
	for r.next() {
		if r.key == 1<<3|varint {
			seq = im.Seq(r.u)
		}
	}
	return seq, r.end(what)
}

//go:build linux

package evloop

import "encoding/binary"

// records follows what crypto/tls reads, to count what it holds: room for the
// largest record that has begun to come, as long as the connection lasts.
type records struct {
	// header is the part that has come of a record's header, of got bytes.
	header [5]byte
	got    uint8
	// missing is what has not come of the record's body.
	missing, largest uint16
}

// note follows bytes, and reports whether there is room for what they announce.
func (r *records) note(b []byte, budget *Budget) (room bool) {
	for len(b) > 0 {
		if r.missing > 0 {
			n := min(int(r.missing), len(b))
			r.missing -= uint16(n)
			b = b[n:]
			continue
		}
		n := copy(r.header[r.got:], b)
		r.got += uint8(n)
		b = b[n:]
		if int(r.got) < len(r.header) {
			break
		}
		r.got, r.missing = 0, binary.BigEndian.Uint16(r.header[3:])
		if r.missing > r.largest {
			budget.Add(int(r.missing - r.largest))
			r.largest = r.missing
			if !budget.Room(int(r.largest), 0) {
				return false
			}
		}
	}
	return true
}

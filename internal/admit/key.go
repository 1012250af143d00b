package admit

import (
	"encoding/binary"
	"net/netip"

	"github.com/skein-im/skein/internal/im"
)

// Key names what a limit is for.
type Key struct{ hi, lo uint64 }

// deviceMark keeps devices apart from addresses: the first half of an IPv6
// address that is in use anywhere is another.
const deviceMark = 1<<63 | 1<<62 | 1<<61 | 1<<60

// DeviceKey is the key of a user's device.
func DeviceKey(user im.UserID, device im.DeviceID) Key {
	return Key{deviceMark | uint64(user), uint64(device)}
}

// AddrKey is the key of a network address: an IPv4 address, or the /64 network
// of an IPv6 address, all of which one customer has.
func AddrKey(a netip.Addr) Key {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		return Key{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return Key{binary.BigEndian.Uint64(b[:8]), 1 << 32}
}

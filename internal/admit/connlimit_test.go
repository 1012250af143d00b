package admit

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAddrKeys(t *testing.T) {
	key := func(s string) Key { return AddrKey(netip.MustParseAddr(s)) }
	if key("1.2.3.4") != key("::ffff:1.2.3.4") || key("1.2.3.4") == key("1.2.3.5") {
		t.Error("IPv4 addresses")
	}
	if key("2001:db8:1:2::1") != key("2001:db8:1:2:ffff::9") || key("2001:db8:1:2::1") == key("2001:db8:1:3::1") {
		t.Error("IPv6 networks")
	}
	if key("::") == key("0.0.0.0") || key("::1") == DeviceKey(0, 1) {
		t.Error("keys of different kinds are equal")
	}
}

// Opened and closed connections are counted exactly, and nothing is left of an
// address without any.
func TestConnLimitCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 3
		l := NewConnLimit(ConnLimitConfig{Open: most})
		open := map[netip.Addr]int{}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(1, 3).Draw(t, "addr"))})
			if open[addr] > 0 && rapid.Bool().Draw(t, "close") {
				l.Close(addr)
				open[addr]--
			} else if got := l.Open(0, addr); got != Accepted && got != TooManyOpen || (got == Accepted) != (open[addr] < most) {
				t.Fatalf("with %d open: %d", open[addr], got)
			} else if got == Accepted {
				open[addr]++
			}
			if open[addr] == 0 {
				delete(open, addr)
			}
			if got := l.Stats().Addrs; got != len(open) {
				t.Fatalf("%d addresses are known, %d have connections", got, len(open))
			}
		}
	})
}

func TestConnLimitPaces(t *testing.T) {
	balancer := netip.MustParsePrefix("192.168.0.0/24")
	l := NewConnLimit(ConnLimitConfig{Rate: 10, Burst: 5, Addrs: 100, Exempt: []netip.Prefix{balancer}})
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	for i := range 6 {
		if got := l.Open(0, a); (got == Accepted) != (i < 5) {
			t.Fatalf("connection %d: %d", i, got)
		}
	}
	if l.Open(0, b) != Accepted || l.Open(100*time.Millisecond, a) != Accepted {
		t.Error("others, or later ones, are refused")
	}
	for range 100 {
		if l.Open(0, netip.MustParseAddr("::ffff:192.168.0.9")) != Accepted {
			t.Fatal("an exempt address is refused")
		}
	}
	if st := l.Stats(); st.TooFast != 1 || st.TooManyOpen != 0 || st.Addrs != 2 {
		t.Errorf("%+v", st)
	}
}

func BenchmarkConnLimit(b *testing.B) {
	l := NewConnLimit(ConnLimitConfig{Open: 10, Rate: 1e9, Burst: 100, Addrs: 1 << 16})
	addr := netip.MustParseAddr("10.0.0.1")
	b.ReportAllocs()
	for b.Loop() {
		l.Open(0, addr)
		l.Close(addr)
	}
}

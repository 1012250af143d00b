package swarm

import (
	"net/netip"
	"testing"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/im"
)

func TestConnectionsAreDealtOut(t *testing.T) {
	for _, tc := range []struct{ members, total int }{{1, 1}, {3, 1000}, {7, 20}, {51, 1_000_000}} {
		seen := make([]bool, tc.total)
		for p := range tc.members {
			j := &Job{Member: p, Members: tc.members, Total: tc.total, First: 100}
			for i := range j.Conns() {
				n := j.number(i)
				if seen[n] || j.user(i) != im.UserID(100+n) {
					t.Fatalf("connection %d is there twice, or of user %d", n, j.user(i))
				}
				seen[n] = true
			}
		}
		for n, ok := range seen {
			if !ok {
				t.Fatalf("nobody has connection %d of %+v", n, tc)
			}
		}
	}
}

func TestMillionConnectionsFit(t *testing.T) {
	l := Limits{Files: 20_000, Ports: 28_232}
	n, err := l.Members(1_000_000, 0)
	if err != nil || n != 51 {
		t.Fatalf("%d processes, %v", n, err)
	}
	server := netip.MustParseAddrPort("127.0.0.1:7001")
	sources := map[netip.Addr]int{}
	for p := range n {
		j := &Job{Member: p, Members: n, Total: 1_000_000}
		if j.Conns() > l.PerMember() {
			t.Errorf("member %d has %d connections, %d fit", p, j.Conns(), l.PerMember())
		}
		first := source(server, p)
		for i := range j.Conns() {
			sources[from(first, uint32(i))]++
		}
	}
	for addr, conns := range sources {
		// With more than half of the ports in use, connecting is slow.
		if !addr.IsLoopback() || conns > l.Ports/2 {
			t.Errorf("%d connections come from %v", conns, addr)
		}
	}
}

func TestFromElsewhereTheSystemChooses(t *testing.T) {
	if a := from(netip.Addr{}, 1<<20); a.IsValid() {
		t.Errorf("connections come from %v", a)
	}
}

func TestWhatCannotBeDealtOut(t *testing.T) {
	l := Limits{Files: 1064, Ports: 28_232}
	if n, err := l.Members(1000, 4); err != nil || n != 4 {
		t.Errorf("%d processes, %v", n, err)
	}
	if n, err := l.Members(3, 8); err != nil || n != 3 {
		t.Errorf("%d processes for 3 connections, %v", n, err)
	}
	for _, tc := range []struct {
		limits       Limits
		conns, procs int
	}{{l, 3000, 2}, {l, 2_000_000, 0}, {Limits{Files: 64, Ports: 100}, 1, 0}} {
		if n, err := tc.limits.Members(tc.conns, tc.procs); err == nil {
			t.Errorf("%+v: %d processes", tc, n)
		}
	}
}

func TestOneSourceAddressHasItsLimit(t *testing.T) {
	far, near := netip.MustParseAddrPort("192.0.2.1:7001"), netip.MustParseAddrPort("127.0.0.1:7001")
	if source(far, 3).IsValid() || source(netip.MustParseAddrPort("[::1]:7001"), 3).IsValid() {
		t.Error("a source address of its own where there is none")
	}
	l := Limits{Files: 20_000, Ports: 30_000}
	for _, tc := range []struct {
		conns   int
		targets []netip.AddrPort
		ok      bool
	}{
		{27_000, []netip.AddrPort{far}, true},
		{27_001, []netip.AddrPort{far}, false},
		{54_000, []netip.AddrPort{far, far}, true},
		{54_000, []netip.AddrPort{far, near}, true},
		{54_004, []netip.AddrPort{far, near}, false},
		{1_000_000, []netip.AddrPort{near}, true},
	} {
		if err := l.oneAddress(tc.conns, tc.targets); (err == nil) != tc.ok {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

func TestTokensFollowFromTheSeed(t *testing.T) {
	user, dev, hash, err := account.ParseToken(Token(7, 1<<30))
	if err != nil || user != 1<<30 || dev != device || hash != Secret(7, 1<<30).Hash() {
		t.Errorf("user %d, device %d, %v", user, dev, err)
	}
	if Token(7, 1) == Token(8, 1) || Secret(7, 1) == Secret(7, 2) {
		t.Error("tokens do not depend on seed and user")
	}
}

func TestFriendsAreMutual(t *testing.T) {
	for user := im.UserID(1001); user < 1011; user++ {
		f := Friend(1001, user)
		if f == user || f < 1001 || f > 1010 || Friend(1001, f) != user {
			t.Errorf("%d writes to %d, who writes to %d", user, f, Friend(1001, f))
		}
	}
}

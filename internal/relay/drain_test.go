package relay

import (
	"crypto/tls"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/wire"
)

// silent is a relay of a region that greets, and then confirms nothing.
func (a *authority) silent(r im.Region) (addr string) {
	a.t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", a.credentials(r).server())
	if err != nil {
		a.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			defer nc.Close()
			in := wire.NewReader(nc, maxGreeting)
			if _, payload, err := in.Frame(maxGreeting); err == nil {
				g, _ := readGreeting(payload)
				_, _ = nc.Write(wire.AppendFrame(nil, typeWelcome, (&greeting{version: version, stream: g.stream}).append(nil)))
			}
		}
	}()
	a.t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	return ln.Addr().String()
}

// A relay that takes messages and confirms none is left for another one.
func TestSilentRelayIsLeft(t *testing.T) {
	a := newAuthority(t)
	second := free(t)
	w := a.relay("west", second, map[im.Region]string{"east": free(t)})
	for range 4 {
		// Which one is first is a matter of chance.
		e := a.relay("east", free(t), map[im.Region]string{"west": a.silent("west") + "|" + second}, func(c *Config) {
			c.Grace, c.Patience = time.Minute, 50*time.Millisecond
		})
		e.Send("west", message(1), 0)
		if m := wait(t, w.got); m.Seq != 1 {
			t.Fatalf("%+v", m)
		}
		e.Stop()
	}
}

// A relay that drains has confirmed what it took, has sent what it had, and is left
// for another one, which gets what comes then: nothing is lost or comes twice.
func TestDrain(t *testing.T) {
	a := newAuthority(t)
	one, two := free(t), free(t)
	e := a.relay("east", free(t), map[im.Region]string{"west": one + "|" + two}, func(c *Config) { c.Grace = time.Minute })
	back := map[im.Region]string{"east": e.Addr()}
	wests := []*end{a.relay("west", one, back), a.relay("west", two, back)}
	sent := 0
	send := func(n int) {
		for range n {
			sent++
			e.Send("west", message(sent), 0)
		}
	}
	send(1)
	var left, other *end
	select {
	case <-wests[0].got:
		left, other = wests[0], wests[1]
	case <-wests[1].got:
		left, other = wests[1], wests[0]
	}
	patience.Until(t, "a connection back", func() (bool, any) {
		r := left.Reach("east")
		return r.Up, r
	})
	left.Send("east", message(1), 0)
	send(2000)
	if err := left.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(e.got) != 1 {
		t.Errorf("what the relay had was not sent")
	}
	send(2000)
	seen := 1
	for seen < sent {
		select {
		case <-left.got:
		case <-other.got:
		case <-time.After(patience.Limit):
			t.Fatalf("%d of %d messages came", seen, sent)
		}
		seen++
	}
	if len(left.got)+len(other.got) > 0 {
		t.Errorf("%d messages came twice", len(left.got)+len(other.got))
	}
}

// Other regions hear where this one's clients go, when they connect and when it
// changes.
func TestPlacesChange(t *testing.T) {
	a := newAuthority(t)
	west := free(t)
	log := make(logged, 10)
	e := a.relay("east", free(t), map[im.Region]string{"west": west}, func(c *Config) { c.Logger = slog.New(log) })
	w := a.relay("west", west, map[im.Region]string{"east": e.Addr()})
	heard := func(event string, want Places) {
		t.Helper()
		for wait(t, log) != event {
		}
		got, r := e.Places("west"), e.Reach("west")
		if !got.equal(&want) || !r.Up || r.Alike != want.Alike || !slices.Equal(r.Links, want.Links) {
			t.Fatalf("the places are %+v (%+v) instead of %+v", got, r, want)
		}
	}
	heard("relay up", Places{Links: []string{"west:1"}})
	for _, p := range []Places{{Links: []string{"a:1", "b:1"}, HTTP: []string{"http://a"}, Alike: true}, {}} {
		w.SetPlaces(p)
		// They come with the next confirmation, of a heartbeat at the latest.
		e.Send("west", message(1), 0)
		heard("the addresses of a region have changed", p)
	}
}

// However many addresses there are, a greeting has room for those that are told.
func TestPlacesAreBounded(t *testing.T) {
	var p Places
	for range 100 {
		p.Links = append(p.Links, string(make([]byte, 200)))
		p.HTTP = append(p.HTTP, "http://a")
	}
	b := p.bounded()
	if len(b.Links) == 0 || len(b.HTTP) != im.MaxPlaces {
		t.Errorf("%d and %d addresses are left", len(b.Links), len(b.HTTP))
	}
	g := greeting{version: version, stream: 1 << 63, received: 1 << 63, places: b}
	if n := len(g.append(nil)); n > maxGreeting {
		t.Errorf("a greeting of %d bytes", n)
	}
}

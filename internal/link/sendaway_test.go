package link

import (
	"slices"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

// TestSendAway: those who are to go are told where to, in turns; the others go on,
// and so does the server.
func TestSendAway(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		const n = 10
		r := newRig(t, kind, Config{}, numbered)
		clients := map[int64]*ClientConn{}
		for range n {
			c := r.dial(t)
			mustWrite(t, c, hello(0))
			clients[wait(t, r.opened, "connection").Value().(int64)] = c
			wait(t, r.frames, "frame")
		}
		told, err := r.srv.SendAway(t.Context(), DrainOptions{Addresses: elsewhere}, odd)
		if told != n/2 || err != nil {
			t.Errorf("%d were told: %v", told, err)
		}
		first := map[string]int{}
		for number, c := range clients {
			if number%2 == 1 {
				m := expectClose(t, c, im.CloseGoingAway)
				if len(m.Addresses) != 2 || !slices.Contains(m.Addresses, elsewhere[0]) || !slices.Contains(m.Addresses, elsewhere[1]) {
					t.Fatalf("sent to %q", m.Addresses)
				}
				first[m.Addresses[0]]++
				continue
			}
			mustWrite(t, c, hello(0))
			wait(t, r.frames, "frame of one that stays")
		}
		if len(first) != 2 {
			t.Errorf("all were sent to %v first", first)
		}
		mustWrite(t, r.dial(t), hello(0))
		wait(t, r.frames, "frame of a new one")
	})
}

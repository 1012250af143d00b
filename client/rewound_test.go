package client

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// texts takes entries, each as its text, or as what it is instead.
func texts(c *Client, n int) (got []string) {
	for range n {
		e := <-c.Entries()
		text := string(e.Content.Body)
		if e.Kind == Rewound {
			text = "rewound"
		}
		got = append(got, text)
	}
	return got
}

// An application hears that the server has lost what it has got, and gets what
// comes under the same numbers; what it has not got yet it does not get.
func TestRewound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		c := dialFake(t, s, Options{})
		s.arrive("a", "b", "c", "d", "e")
		if got := texts(c, 3); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("got %v", got)
		}
		synctest.Wait()
		s.lose(3)
		time.Sleep(time.Minute) // it is connected again
		s.arrive("x", "y", "z", "u")
		want := []string{"rewound", "x", "y", "z", "u"}
		// One is on its way to the application when the loss is found.
		if got := texts(c, 6); !slices.Equal(got[1:], want) || got[0] != "d" {
			t.Errorf("got %v", got)
		}
		synctest.Wait()
		if c.Cursor() != 6 || *c.Generation() != 1 {
			t.Errorf("cursor %d of generation %d", c.Cursor(), *c.Generation())
		}
		// Nothing happens to one that has been told.
		s.cut(nil)
		time.Sleep(time.Minute)
		s.arrive("v")
		if got := texts(c, 1); got[0] != "v" {
			t.Errorf("got %v", got)
		}
	})
}

// A device that was away when the server lost its entries is told when it comes
// back with what it has kept.
func TestRewoundWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		s.arrive("a", "b", "c")
		s.lose(1)
		s.arrive("x", "y")
		cursor, generation := uint64(3), uint64(0)
		c := dialFake(t, s, Options{Cursor: &cursor, Generation: &generation})
		if got := texts(c, 3); !slices.Equal(got, []string{"rewound", "x", "y"}) {
			t.Errorf("got %v", got)
		}
	})
}

package remote

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// fakeWay is a relay's way to a region.
type fakeWay struct {
	*fakeMailbox
	got   chan *entity.Message
	mu    sync.Mutex
	reach im.Reach
}

func newFakeWay() *fakeWay {
	return &fakeWay{fakeMailbox: newFakeMailbox(), got: make(chan *entity.Message, 100)}
}

func (w *fakeWay) Receive(m *entity.Message) { w.got <- m }

func (w *fakeWay) Reach() im.Reach {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reach
}

func (w *fakeWay) set(r im.Reach) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reach = r
}

// ways serves two regions at one address.
func ways(t *testing.T) (west, south *fakeWay, s *Server, addr string) {
	west, south = newFakeWay(), newFakeWay()
	ln, addr := listen(t, "tcp")
	s = serve(t, ln, ServerConfig{Ways: func(r im.Region) Way {
		switch r {
		case "west":
			return west
		case "south":
			return south
		}
		return nil
	}})
	return west, south, s, addr
}

// A link leads to the region that it was made for: commands, messages, and word of
// how it stands with it. One process has a link to each.
func TestWaysToRegions(t *testing.T) {
	west, south, _, addr := ways(t)
	west.set(im.Reach{Up: true, Links: []string{"w:1"}, HTTP: []string{"http://w"}, Alike: true})
	heard := make(chan *im.Reach, 10)
	toWest := connect(t, ClientConfig{Addr: addr, Region: "west", Instance: 7, Reach: func(r *im.Reach) { heard <- r }})
	if d := cmp.Diff(&west.reach, <-heard); d != "" {
		t.Fatalf("(-said +heard):\n%s", d)
	}
	toSouth := connect(t, ClientConfig{Addr: addr, Region: "south", Instance: 7})
	do(t, toSouth, im.User(1), &im.ListDevices{})
	do(t, toWest, im.User(2), &im.GetHome{})
	if len(west.fakeMailbox.got) != 1 || len(south.fakeMailbox.got) != 1 {
		t.Errorf("west got %v, south %v", west.fakeMailbox.got, south.fakeMailbox.got)
	}
	toWest.Forward(&entity.Message{From: im.User(1), To: im.User(2), Seq: 9})
	if m := <-west.got; m.Seq != 9 || m.To != im.User(2) {
		t.Errorf("west got %+v", m)
	}
	west.set(im.Reach{})
	if r := <-heard; r == nil || r.Up {
		t.Errorf("then %+v was heard", r)
	}
}

// Who leads nowhere, or elsewhere, says so.
func TestNoWay(t *testing.T) {
	_, _, _, addr := ways(t)
	for _, to := range []im.Region{"north", ""} {
		c := connect(t, ClientConfig{Addr: addr, Region: to, FailFast: true, Reach: func(r *im.Reach) {
			if r != nil {
				t.Errorf("%q: heard %+v", to, r)
			}
		}})
		eventually(t, func() bool {
			err := c.Health()
			return err != nil && (strings.Contains(err.Error(), "does not lead to") || strings.Contains(err.Error(), "has no mailbox"))
		})
	}
}

// When a link is lost that others can stand in for, that is heard before commands
// in flight fail, and none waits for the next link.
func TestFailFast(t *testing.T) {
	west, _, s, addr := ways(t)
	west.script(never)
	var mu sync.Mutex
	var order []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	linked := make(chan bool, 10)
	c := connect(t, ClientConfig{Addr: addr, Region: "west", FailFast: true, Reach: func(r *im.Reach) {
		if r == nil {
			note("lost")
		}
		linked <- r != nil
	}})
	if err := submitted(c); im.KindOf(err) != im.Unavailable {
		// Rarely, the link is up by now, and the answer never comes.
		t.Logf("without a link: %v", err)
	}
	<-linked
	failed := make(chan error, 1)
	c.Submit(im.User(1), &im.GetHome{}, im.CompletionFunc(func(_ im.Command, _ im.Result, err error) {
		note("failed")
		failed <- err
	}))
	west.waitFor(func(got []im.Command) bool { return len(got) > 0 })
	stop(s)
	if err := <-failed; im.KindOf(err) != im.Unavailable {
		t.Errorf("a command in flight: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(order, []string{"lost", "failed"}) {
		t.Errorf("%v", order)
	}
}

// submitted is how a command ends that completes at once; nil: it does not.
func submitted(m im.Mailbox) error {
	answer := make(chan error, 1)
	m.Submit(im.User(1), &im.GetHome{}, im.CompletionFunc(func(_ im.Command, _ im.Result, err error) { answer <- err }))
	select {
	case err := <-answer:
		return err
	default:
		return nil
	}
}

// A relay that stops says first that it does not lead to the region any more, so
// that its clients turn to others with what comes next.
func TestRelayStops(t *testing.T) {
	west, _, s, addr := ways(t)
	west.set(im.Reach{Up: true, Links: []string{"w:1"}})
	heard := make(chan *im.Reach, 10)
	connect(t, ClientConfig{Addr: addr, Region: "west", FailFast: true, Reach: func(r *im.Reach) { heard <- r }})
	if r := <-heard; r == nil || !r.Up {
		t.Fatalf("%+v", r)
	}
	if err := s.Shutdown(within(t)); err != nil {
		t.Fatal(err)
	}
	if r := <-heard; r == nil || r.Up || len(r.Links) != 1 {
		t.Errorf("before the end, %+v was heard", r)
	}
	if r := <-heard; r != nil {
		t.Errorf("in the end, %+v was heard", r)
	}
}

// FuzzReach: whatever is read is carried on unchanged, and what is wrong is
// Invalid.
func FuzzReach(f *testing.F) {
	encode := func(r *im.Reach) []byte { return appendSlots(nil, r, reachSlots) }
	f.Add(encode(&im.Reach{Up: true, Links: []string{"a:1", "b:1"}, HTTP: []string{"http://a"}, Alike: true}))
	f.Add([]byte{0x0a, 0x02, 0x80, 0x20})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readReach(b)
		if err != nil {
			mustBeInvalid(t, err)
			return
		}
		if len(r.Links) > im.MaxPlaces || len(r.HTTP) > im.MaxPlaces {
			t.Fatalf("%d and %d addresses", len(r.Links), len(r.HTTP))
		}
		if again, err := readReach(encode(&r)); err != nil || !r.Equal(&again) {
			t.Fatalf("%+v, then %+v, %v", r, again, err)
		}
	})
}

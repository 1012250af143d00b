package uplink

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/route"
)

// fakeLink is a link to a relay for a region.
type fakeLink struct {
	route.Link
	mu     sync.Mutex
	sent   []im.LinkSeq
	heard  func(*im.Reach)
	closed bool
	// held are the commands in flight.
	held chan func(err error)
}

func (l *fakeLink) Forward(m *entity.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, m.Seq)
}

func (l *fakeLink) Submit(_ im.Addr, cmd im.Command, done im.Completion) {
	l.held <- func(err error) { done.Complete(cmd, nil, err) }
}

func (l *fakeLink) Close(context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

func (l *fakeLink) forwarded() []im.LinkSeq {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.sent)
}

// world is an Uplink of region east with links that tests are at the other end of.
type world struct {
	*Uplink
	links  map[string]*fakeLink
	opened int
}

func newWorld(t *testing.T) *world {
	w := &world{links: map[string]*fakeLink{}}
	var err error
	w.Uplink, err = New(Config{
		Self: "east", Directory: "west", Logger: slog.New(slog.DiscardHandler), Open: func() { w.opened++ },
		Dial: func(m cluster.Member, to im.Region, heard func(*im.Reach)) (route.Link, error) {
			if m.Roles != m.Relay {
				t.Errorf("a link to %q instead of %q", m.Roles, m.Relay)
			}
			l := &fakeLink{heard: heard, held: make(chan func(error), 10)}
			w.links[m.Node+">"+string(to)] = l
			return l, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(context.Background()) })
	return w
}

// It is said once that nobody leads to a region, and once that somebody does.
func TestNobodyLeadsThere(t *testing.T) {
	w := newWorld(t)
	var out strings.Builder
	w.cfg.Logger = slog.New(slog.NewTextHandler(&out, nil))
	w.Update(nil)
	w.Update(nil)
	w.Update([]cluster.Member{member("r1", "west")})
	w.Update([]cluster.Member{member("r1", "west"), member("r2", "west")})
	none, some := strings.Count(out.String(), "no relay of this region"), strings.Count(out.String(), "there is a relay")
	if none != 1 || some != 1 {
		t.Errorf("%d and %d times:\n%s", none, some, out.String())
	}
}

func member(name, regions string) cluster.Member {
	return cluster.Member{Node: name, State: cluster.Up, Relay: name + ":7006", Region: "east", Directory: "west", Regions: regions}
}

// send sends messages for many users to a region, and counts what each relay got.
func (w *world) send(to im.Region) map[string]int {
	for user := range im.UserID(200) {
		w.Send(to, &entity.Message{From: im.User(1), To: im.User(user + 1), Seq: 1})
	}
	got := map[string]int{}
	for name, l := range w.links {
		if n := len(l.forwarded()); n > 0 {
			got[name] = n
		}
		l.sent = nil
	}
	return got
}

func up() *im.Reach { return &im.Reach{Up: true, Links: []string{"w:1"}} }

// Relays share what leaves; one that is cut off, or whose link breaks, is left out
// while there is another.
func TestRelaysShare(t *testing.T) {
	w := newWorld(t)
	w.Update([]cluster.Member{member("a", "south,west"), member("b", "west"), {Node: "m", Roles: "m:7002"}})
	if len(w.links) != 3 {
		t.Fatalf("there are links %v", w.links)
	}
	if got := w.send("west"); len(got) != 0 {
		t.Errorf("before there is a link: %v", got)
	}
	a, b := w.links["a>west"], w.links["b>west"]
	a.heard(&im.Reach{})
	if got := w.send("west"); got["a>west"] != 200 {
		t.Errorf("while one relay is linked, and cut off: %v", got)
	}
	b.heard(up())
	if got := w.send("west"); got["b>west"] != 200 {
		t.Errorf("while another one is connected: %v", got)
	}
	a.heard(up())
	if got := w.send("west"); got["a>west"] < 50 || got["b>west"] < 50 || len(got) != 2 {
		t.Errorf("while both are: %v", got)
	}
	if w.opened != 3 {
		t.Errorf("%d times there was another way", w.opened)
	}
	b.heard(nil)
	if got := w.send("west"); got["a>west"] != 200 {
		t.Errorf("when a link breaks: %v", got)
	}
	if got := w.send("south"); len(got) != 0 {
		t.Errorf("to a region without a link: %v", got)
	}
	if r := w.Reach("west"); !r.Up || len(r.Links) != 1 {
		t.Errorf("%+v", r)
	}
}

// A command in flight is repeated at another relay when its own is gone, and
// waits for one if there is none.
func TestCommandsFindAnotherRelay(t *testing.T) {
	w := newWorld(t)
	if w.Far("south") != nil {
		t.Error("there is a way to a region that nobody has named")
	}
	answer := make(chan error, 1)
	w.Far("west").Submit(im.User(1), &im.GetHome{}, im.CompletionFunc(func(_ im.Command, _ im.Result, err error) { answer <- err }))
	w.Update([]cluster.Member{member("a", "west"), member("b", "west")})
	links := []*fakeLink{w.links["a>west"], w.links["b>west"]}
	links[0].heard(up())
	lose := <-links[0].held
	links[1].heard(up())
	links[0].heard(nil)
	lose(im.Errorf(im.Unavailable, "the link was lost"))
	(<-links[1].held)(nil)
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

// A relay of another region, or with another directory, is not used; one that is gone is
// not either.
func TestRelaysThatAreOfNoUse(t *testing.T) {
	w := newWorld(t)
	strange, stranger := member("s", "west"), member("t", "west")
	strange.Region, stranger.Directory = "north", "east"
	w.Update([]cluster.Member{strange, stranger, member("a", "west,east,No,")})
	if len(w.links) != 1 {
		t.Fatalf("there are links %v", w.links)
	}
	a := w.links["a>west"]
	a.heard(up())
	w.Update(nil)
	if got := w.send("west"); len(got) != 0 || w.Reach("west").Up {
		t.Errorf("without relays: %v", got)
	}
	st := w.Status()
	if len(st) != 1 || st[0].Region != "west" || st[0].Up || st[0].Cause == "" {
		t.Errorf("%+v", st)
	}
	// What an old link says does not count.
	a.heard(up())
	if w.Reach("west").Up {
		t.Error("a relay that is gone counts")
	}
}

func TestStatus(t *testing.T) {
	w := newWorld(t)
	w.Update([]cluster.Member{member("b", "west"), member("a", "west,south")})
	w.links["a>west"].heard(up())
	w.links["b>west"].heard(&im.Reach{})
	var got []string
	for _, s := range w.Status() {
		state := "down"
		if s.Up {
			state = "up"
		}
		got = append(got, string(s.Region)+" "+s.Relay+" "+s.Addr+" "+state)
	}
	want := []string{"south a a:7006 down", "west a a:7006 up", "west b b:7006 down"}
	if !slices.Equal(got, want) || !slices.Equal(w.Regions(), []im.Region{"south", "west"}) {
		t.Errorf("%v, %v", got, w.Regions())
	}
}

// What the link to an earlier life of a relay says last, when the relay is back at its
// address, does not count.
func TestOldLinksAreNotHeard(t *testing.T) {
	w := newWorld(t)
	w.Update([]cluster.Member{member("a", "west")})
	old := w.links["a>west"]
	old.heard(up())
	w.Update(nil)
	w.Update([]cluster.Member{member("a", "west")})
	w.links["a>west"].heard(up())
	old.heard(nil)
	if got := w.send("west"); got["a>west"] != 200 || !w.Reach("west").Up {
		t.Errorf("%v, %+v", got, w.Reach("west"))
	}
}

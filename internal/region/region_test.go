package region

import (
	"log/slog"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/store/memstore"
)

// pair are two regions that reach each other without a network; the directory is
// in east.
type pair struct {
	t          *testing.T
	east, west *Region
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t}
	p.east, p.west = p.region("east", &p.west), p.region("west", &p.east)
	return p
}

// region makes one whose mailbox is on a store in memory.
func (p *pair) region(self im.Region, other **Region) *Region {
	p.t.Helper()
	var r *Region
	cfg := mailbox.DefaultConfig()
	cfg.Logger, cfg.Admission.Threshold = slog.New(slog.DiscardHandler), 0
	cfg.Elsewhere = func(m *entity.Message) bool { return r.Forward(m) }
	m := mailbox.New(cfg, memstore.New(time.Now))
	var err error
	r, err = New(Config{
		Self: self, Directory: "east", Local: m, Logger: cfg.Logger,
		Far: func(of im.Region) im.Mailbox {
			if of == self || of == "north" {
				return nil
			}
			return (*other).Guest()
		},
		Send:   func(_ im.Region, m *entity.Message, hops uint8) { (*other).Deliver(self, m, hops) },
		Places: func(of im.Region) (links, http []string) { return []string{string(of) + ":1"}, nil },
	})
	if err != nil {
		p.t.Fatal(err)
	}
	if err := m.Start(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		r.Stop()
		m.Stop()
	})
	return r
}

func (p *pair) do(m im.Mailbox, to im.Addr, cmd im.Command) (im.Result, error) {
	return im.Do(patience.Context(p.t), m, to, cmd)
}

func (p *pair) must(m im.Mailbox, to im.Addr, cmd im.Command) im.Result {
	p.t.Helper()
	res, err := p.do(m, to, cmd)
	if err != nil {
		p.t.Fatalf("%v: %T: %v", to, cmd, err)
	}
	return res
}

func (p *pair) refused(what string, kind im.ErrorKind, m im.Mailbox, to im.Addr, cmd im.Command) {
	p.t.Helper()
	if _, err := p.do(m, to, cmd); im.KindOf(err) != kind {
		p.t.Errorf("%s: %v", what, err)
	}
}

// Who is created in one region is not created in another, and whoever asks there
// is told where to go.
func TestOneHome(t *testing.T) {
	p := newPair(t)
	p.must(p.west, im.User(5), &im.Provision{TokenHashes: [][32]byte{{5}}})
	_, err := p.do(p.east, im.User(5), &im.ListDevices{})
	if e := im.AsError(err); e.Kind != im.Moved || e.At.Home.Region != "west" || len(e.At.Links) != 1 || e.At.Links[0] != "west:1" {
		t.Errorf("%v", err)
	}
	p.refused("a second home", im.Moved, p.east, im.User(5), &im.Provision{})
	if _, err := p.east.ReadTimeline(t.Context(), 5, 0, 10); im.KindOf(err) != im.Moved {
		t.Errorf("the timeline elsewhere: %v", err)
	}
	if h := *p.must(p.east, im.HomeAddr(5), &im.GetHome{}).(*im.Home); h != (im.Home{Region: "west", Version: 1}) {
		t.Errorf("%+v", h)
	}
}

// Requests go to users who exist, wherever they live, and to no others.
func TestRequestsToNobody(t *testing.T) {
	p := newPair(t)
	p.must(p.east, im.User(1), &im.Provision{TokenHashes: [][32]byte{{1}}})
	p.must(p.west, im.User(2), &im.Provision{})
	p.refused("a request to nobody", im.NotFound, p.west, im.User(2), &im.Contact{Op: im.ContactRequest, Peer: 99})
	news := make(arrivals, 1)
	p.must(p.east, im.User(1), &im.Attach{Device: 1, TokenHash: [32]byte{1}, Session: 1, Sink: news})
	p.must(p.west, im.User(2), &im.Contact{Op: im.ContactRequest, Peer: 1})
	<-news
	list := p.must(p.east, im.User(1), &im.ListContacts{}).([]im.ContactInfo)
	if len(list) != 1 || list[0].Peer != 2 || list[0].State != im.Incoming {
		t.Errorf("the request arrives as %+v", list)
	}
}

// arrivals hears when a device gets entries.
type arrivals chan struct{}

func (a arrivals) Deliver(_, _ im.Seq, _ [][]byte) { a <- struct{}{} }
func (a arrivals) Kick(im.CloseCode, string)       {}

// Other regions may ask for what all share and bring users, and nothing else.
func TestGuests(t *testing.T) {
	p := newPair(t)
	p.must(p.east, im.User(1), &im.Provision{TokenHashes: [][32]byte{{1}}})
	p.must(p.east.Guest(), im.AllocatorAddr, &im.AllocateUsers{Count: 1})
	p.refused("a region without the directory gives out numbers", im.PermissionDenied, p.west.Guest(), im.AllocatorAddr, &im.AllocateUsers{Count: 1})
	for _, cmd := range []im.Command{&im.ListDevices{}, &im.CreateDevice{}, &im.Attach{}, &im.Depart{To: "west", Version: 2}, &im.Send{To: 2}} {
		p.refused("a guest", im.PermissionDenied, p.east.Guest(), im.User(1), cmd)
	}
	if _, err := p.east.Guest().ReadTimeline(t.Context(), 1, 0, 1); im.KindOf(err) != im.PermissionDenied {
		t.Errorf("a guest reads: %v", err)
	}
}

// A move to nowhere, of nobody, and from elsewhere is refused; one to where the
// user lives is done.
func TestMovesThatCannotBe(t *testing.T) {
	p := newPair(t)
	p.must(p.east, im.User(1), &im.Provision{})
	for what, c := range map[string]struct {
		r    *Region
		user im.UserID
		to   im.Region
		kind im.ErrorKind
	}{
		"to nowhere": {p.east, 1, "north", im.NotFound}, "of nobody": {p.east, 9, "west", im.NotFound},
		"from elsewhere": {p.west, 1, "west", im.Moved}, "to where they are": {p.east, 1, "east", 0},
	} {
		if _, err := c.r.Move(t.Context(), c.user, c.to); im.KindOf(err) != c.kind {
			t.Errorf("%s: %v", what, err)
		}
	}
	if moved, err := p.east.Move(t.Context(), 1, "west"); err != nil || moved.Home.Version != 2 {
		t.Errorf("%+v, %v", moved, err)
	}
	p.must(p.west, im.User(1), &im.ListDevices{})
}

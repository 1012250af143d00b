package uplink

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/route"
)

// maxRegions is how many other regions there may be.
const maxRegions = 256

// Config is what an Uplink needs.
type Config struct {
	// Self is this region, Directory the one that knows where users live.
	Self, Directory im.Region
	// Dial makes the link to a relay, at Member.Relay, for a region; heard is
	// called with what the relay says of that region, and with nil when the link is
	// lost. It must return at once.
	Dial func(relay cluster.Member, to im.Region, heard func(*im.Reach)) (route.Link, error)
	// Open hears that there is a way to some region that was not there before. It must return
	// at once.
	Open   func()
	Logger *slog.Logger
	// After, Now and Rand are those of package route; nil: the system's.
	After func(d time.Duration, f func()) (stop func() bool)
	Now   func() time.Time
	Rand  func(n int64) int64
}

// Uplink leads to all other regions.
type Uplink struct {
	cfg  Config
	ways atomic.Pointer[map[im.Region]*way]

	// mu serializes Update and Close, and guards refused: the relays there that
	// are of no use, by name.
	mu      sync.Mutex
	refused map[string]bool
}

// New makes an Uplink that knows no relays yet.
func New(cfg Config) (*Uplink, error) {
	if cfg.Dial == nil || cfg.Open == nil || cfg.Logger == nil {
		return nil, errors.New("an uplink needs a logger and a way to make links")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	u := &Uplink{cfg: cfg, refused: map[string]bool{}}
	ways := map[im.Region]*way{}
	if cfg.Directory != cfg.Self {
		// Everybody waits for this one.
		ways[cfg.Directory] = newWay(u, cfg.Directory)
	}
	u.ways.Store(&ways)
	return u, nil
}

// Update says who is there. A region that was once led to stays, without a way
// if need be.
func (u *Uplink) Update(members []cluster.Member) {
	u.mu.Lock()
	defer u.mu.Unlock()
	relays, refused := map[im.Region][]cluster.Member{}, map[string]bool{}
	for _, m := range members {
		if m.Relay == "" {
			continue
		}
		if !u.fits(&m) {
			refused[m.Node] = true
			continue
		}
		for name := range strings.SplitSeq(m.Regions, ",") {
			if to := im.Region(name); im.CheckRegion(to) == nil && to != u.cfg.Self {
				relays[to] = append(relays[to], m)
			}
		}
	}
	u.refused = refused
	ways := *u.ways.Load()
	for _, to := range slices.Sorted(maps.Keys(relays)) {
		if ways[to] == nil && len(ways) < maxRegions {
			ways = u.with(to)
		}
	}
	for _, to := range u.Regions() {
		ways[to].update(relays[to])
	}
}

// with adds a way to a region.
func (u *Uplink) with(to im.Region) map[im.Region]*way {
	ways := map[im.Region]*way{to: newWay(u, to)}
	for name, w := range *u.ways.Load() {
		ways[name] = w
	}
	u.ways.Store(&ways)
	return ways
}

// fits reports whether a relay is one of this region, and complains once if it
// is not.
func (u *Uplink) fits(m *cluster.Member) bool {
	ok := im.Region(m.Region) == u.cfg.Self && im.Region(m.Directory) == u.cfg.Directory
	if !ok && !u.refused[m.Node] {
		u.cfg.Logger.Error("a relay of these nodes has another region or directory in its settings; it is not used",
			"relay", m.Node, "region", m.Region, "directory", m.Directory)
	}
	return ok
}

func (u *Uplink) way(to im.Region) *way { return (*u.ways.Load())[to] }

// Far is the mailbox of another region, as far as it lets others ask it; nil if no
// relay has led there yet.
func (u *Uplink) Far(of im.Region) im.Mailbox {
	if w := u.way(of); w != nil {
		return w.route
	}
	return nil
}

// Send carries a link message to another region, or drops and counts it.
func (u *Uplink) Send(to im.Region, m *entity.Message) {
	if w := u.way(to); w != nil {
		w.route.Forward(m)
	}
}

// Reach says how it stands with a region.
func (u *Uplink) Reach(of im.Region) im.Reach {
	if w := u.way(of); w != nil {
		return w.reach()
	}
	return im.Reach{}
}

// Regions are the other regions, by name.
func (u *Uplink) Regions() []im.Region {
	return slices.Sorted(maps.Keys(*u.ways.Load()))
}

// Close closes every link, at the latest when ctx ends.
func (u *Uplink) Close(ctx context.Context) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, w := range *u.ways.Load() {
		w.route.Close(ctx)
	}
}

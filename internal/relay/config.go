package relay

import (
	"cmp"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Defaults of Config.
const (
	DefaultMaxQueue         = 8 << 20
	DefaultMaxOwing         = 1 << 16
	DefaultGrace            = 2 * time.Second
	DefaultHeartbeat        = 5 * time.Second
	DefaultHandshakeTimeout = 5 * time.Second
	DefaultPatience         = 3 * time.Second
)

// Places are the addresses of a region for clients, best first; Alike: any will
// do, and clients are spread over them.
type Places struct {
	Links, HTTP []string
	Alike       bool
}

func (p *Places) equal(o *Places) bool {
	return p.Alike == o.Alike && slices.Equal(p.Links, o.Links) && slices.Equal(p.HTTP, o.HTTP)
}

// maxPlacesBytes is about how many bytes the addresses of one kind may have, so
// that a greeting has room for them.
const maxPlacesBytes = maxGreeting / 3

// bounded leaves out the addresses for which there is no room.
func (p Places) bounded() Places {
	fit := func(list []string) []string {
		size := 0
		for i, a := range list {
			if size += len(a) + 2; i == im.MaxPlaces || size > maxPlacesBytes {
				return list[:i]
			}
		}
		return list
	}
	return Places{Links: fit(p.Links), HTTP: fit(p.HTTP), Alike: p.Alike}
}

// Config is what a Relay needs. Zero values of the last group mean the
// defaults.
type Config struct {
	// Region is the own one, Peers are the addresses of the relays of the
	// others; a region may have several, any of which will do.
	Region im.Region
	Peers  map[im.Region][]string
	// Listen is where other regions reach this one.
	Listen string
	// Places are told to the other regions; SetPlaces changes them.
	Places      Places
	Credentials *Credentials
	// Deliver takes a message from another region; Nudge asks an entity to go
	// on with what it has for another. Both return at once.
	Deliver func(from im.Region, m *entity.Message, hops uint8)
	Nudge   func(from, to im.Addr)
	Logger  *slog.Logger

	// MaxQueue bounds the bytes that wait for a region, MaxOwing the entities
	// that are remembered while it is out of reach for longer than Grace.
	MaxQueue, MaxOwing int
	Grace              time.Duration
	// Heartbeat is how often something is said on an idle connection; after
	// three times as long without a word it is dead.
	Heartbeat        time.Duration
	HandshakeTimeout time.Duration
	// Patience is how long the other end may confirm nothing of what it was
	// sent; then another relay of its region is tried.
	Patience time.Duration
}

func (c Config) withDefaults() Config {
	c.MaxQueue = cmp.Or(c.MaxQueue, DefaultMaxQueue)
	c.MaxOwing = cmp.Or(c.MaxOwing, DefaultMaxOwing)
	c.Grace = cmp.Or(c.Grace, DefaultGrace)
	c.Heartbeat = cmp.Or(c.Heartbeat, DefaultHeartbeat)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, DefaultHandshakeTimeout)
	c.Patience = cmp.Or(c.Patience, DefaultPatience)
	return c
}

func (c *Config) check() error {
	if err := im.CheckRegion(c.Region); err != nil {
		return err
	}
	for name, addrs := range c.Peers {
		if err := im.CheckRegion(name); err != nil {
			return err
		}
		if len(addrs) == 0 {
			return im.Errorf(im.Invalid, "region %s has no address", name)
		}
		if name == c.Region {
			return im.Errorf(im.Invalid, "region %s is not a peer of its own", name)
		}
	}
	if c.Credentials == nil || c.Deliver == nil || c.Nudge == nil || c.Logger == nil {
		return errors.New("a relay needs credentials, a logger, and somebody to deliver to")
	}
	return nil
}

package region

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Local is the mailbox of this node: that of the region, or part of it.
type Local interface {
	im.Mailbox
	im.StatementReader
	im.Leveler
	// Receive takes a link message, or drops it.
	Receive(m *entity.Message)
	// Records are all that an entity has in the store.
	Records(ctx context.Context, a im.Addr) ([]im.Record, error)
	// ReadLog reads entries of its log as they are stored.
	ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]im.LogEntry, error)
}

// Config is what a Region needs.
type Config struct {
	// Self is this region, Directory the one that knows where users live.
	Self, Directory im.Region
	// Local is this node's mailbox; nil in a relay, which has none.
	Local Local
	// Whole is the way to every entity of this region, past the Regions of its
	// nodes, and Carry takes a link message to the node that serves its entity
	// unless that is this one. Without them Local serves all.
	Whole im.Mailbox
	Carry func(m *entity.Message) bool
	// Far is the mailbox of another region, as far as it lets others ask it; nil
	// if there is no such region.
	Far func(im.Region) im.Mailbox
	// Send carries a link message to another region.
	Send func(to im.Region, m *entity.Message, hops uint8)
	// Places are the addresses of a region for clients.
	Places func(of im.Region) (links, http []string)
	Logger *slog.Logger
}

// Region is an im.Mailbox for users of this region.
type Region struct {
	cfg   Config
	homes *homes

	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	moves  moves
	stats  counters
}

type counters struct {
	elsewhere, lookups, unknown, dropped, strays, corrected atomic.Uint64
}

// New makes a Region.
func New(cfg Config) (*Region, error) {
	if cfg.Local == nil && cfg.Whole != nil && cfg.Carry != nil {
		cfg.Local = transit{cfg.Whole}
	}
	if cfg.Local == nil || cfg.Far == nil || cfg.Send == nil || cfg.Places == nil || cfg.Logger == nil {
		return nil, errors.New("a region needs a mailbox, a logger and ways to other regions")
	}
	for _, name := range []im.Region{cfg.Self, cfg.Directory} {
		if err := im.CheckRegion(name); err != nil {
			return nil, err
		}
	}
	if cfg.Whole == nil {
		cfg.Whole = cfg.Local
	}
	if cfg.Carry == nil {
		cfg.Carry = func(*entity.Message) bool { return false }
	}
	r := &Region{cfg: cfg}
	r.homes = newHomes(r)
	r.moves.running = map[im.UserID][]chan struct{}{}
	r.moves.slots = make(chan struct{}, maxMoves)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// Stop gives moves up where they are, and waits.
func (r *Region) Stop() {
	r.cancel()
	r.tasks.Wait()
}

// directory is the mailbox that has what all regions share; nil: the local one.
func (r *Region) directory() im.Mailbox {
	if r.cfg.Directory == r.cfg.Self {
		return r.cfg.Local
	}
	if m := r.cfg.Far(r.cfg.Directory); m != nil {
		return m
	}
	return absent{r.cfg.Directory}
}

// absent stands for the mailbox of a region that there is no way to.
type absent struct{ name im.Region }

func (a absent) err() error {
	return im.Errorf(im.Unavailable, "region %s is not among the regions of this one", a.name)
}

// Submit implements im.Mailbox.
func (a absent) Submit(_ im.Addr, cmd im.Command, done im.Completion) { fail(done, cmd, a.err()) }

// ReadTimeline implements im.Mailbox.
func (a absent) ReadTimeline(context.Context, im.UserID, im.Seq, int) ([][]byte, error) {
	return nil, a.err()
}

// ReadConversation implements im.Mailbox.
func (a absent) ReadConversation(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, a.err()
}

func fail(done im.Completion, cmd im.Command, err error) {
	if done != nil {
		done.Complete(cmd, nil, err)
	}
}

// Submit implements im.Mailbox.
func (r *Region) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	switch to.Kind {
	case im.KindUser:
		r.submitUser(im.UserID(to.ID), cmd, done)
	case im.KindHome:
		r.homeCommand(im.UserID(to.ID), cmd, done)
	default:
		r.directory().Submit(to, cmd, done)
	}
}

// submitUser is Submit for a user's mailbox.
func (r *Region) submitUser(user im.UserID, cmd im.Command, done im.Completion) {
	switch c := cmd.(type) {
	case *im.Detach:
		// Of a session that was attached here, wherever the user is now.
		r.cfg.Local.Submit(im.User(user), cmd, done)
		return
	case *im.CreateUser, *im.Provision:
		r.claim(user, cmd, done)
		return
	case *im.Contact:
		if c.Op == im.ContactRequest && c.Peer != user {
			r.submitRequest(user, c, done)
			return
		}
	}
	r.submitKnown(user, cmd, done)
}

// submitKnown submits a command where the user lives, which is to be here.
func (r *Region) submitKnown(user im.UserID, cmd im.Command, done im.Completion) {
	to := im.User(user)
	if h, ok := r.homes.known(user); ok && h.Region == r.cfg.Self {
		r.cfg.Local.Submit(to, cmd, r.watch(user, done))
		return
	}
	r.homes.find(user, func(h im.Home, err error) {
		switch {
		case im.KindOf(err) == im.NotFound:
			// The mailbox says so too.
			r.cfg.Local.Submit(to, cmd, done)
		case err != nil:
			fail(done, cmd, err)
		case h.Region != r.cfg.Self:
			r.sendAway(user, h, cmd, done)
		default:
			r.cfg.Local.Submit(to, cmd, r.watch(user, done))
		}
	})
}

// sendAway refuses a command for a user who lives elsewhere, unless they have
// come here since this node heard of them.
func (r *Region) sendAway(user im.UserID, h im.Home, cmd im.Command, done im.Completion) {
	r.refresh(user, h, func(h im.Home) {
		if h.Region == r.cfg.Self {
			r.cfg.Local.Submit(im.User(user), cmd, r.watch(user, done))
			return
		}
		r.stats.elsewhere.Add(1)
		fail(done, cmd, r.moved(h))
	})
}

// moved tells a client where to go.
func (r *Region) moved(h im.Home) error {
	links, http := r.cfg.Places(h.Region)
	return &im.Error{Kind: im.Moved, At: &im.Place{Home: h, Links: links, HTTP: http},
		Detail: "the user lives in region " + string(h.Region)}
}

// watch learns from a mailbox's answer that a user has moved.
func (r *Region) watch(user im.UserID, done im.Completion) im.Completion {
	if done == nil {
		return nil
	}
	return watcher{r, user, done}
}

type watcher struct {
	r    *Region
	user im.UserID
	done im.Completion
}

// Complete implements im.Completion.
func (w watcher) Complete(cmd im.Command, res im.Result, err error) {
	var e *im.Error
	if err != nil && errors.As(err, &e) && e.Kind == im.Moved && e.At != nil {
		w.r.learn(w.user, e.At.Home)
		err = w.r.moved(e.At.Home)
	}
	w.done.Complete(cmd, res, err)
}

// submitRequest lets a user ask another one who exists: a message to one who
// does not would wait for ever.
func (r *Region) submitRequest(user im.UserID, c *im.Contact, done im.Completion) {
	if _, ok := r.homes.known(c.Peer); ok {
		r.submitKnown(user, c, done)
		return
	}
	r.homes.find(c.Peer, func(_ im.Home, err error) {
		if err != nil {
			if im.KindOf(err) == im.NotFound {
				err = im.Errorf(im.NotFound, "there is no user %d", c.Peer)
			}
			fail(done, c, err)
			return
		}
		r.submitKnown(user, c, done)
	})
}

// here reports whether a user lives in this region, for reads that do not pass
// the user's entity.
func (r *Region) here(ctx context.Context, user im.UserID) error {
	h, ok := r.homes.known(user)
	if !ok {
		var err error
		h, err = im.Await(ctx, func(done func(im.Home, error)) { r.homes.find(user, done) })
		if err != nil && im.KindOf(err) != im.NotFound {
			return err
		}
	}
	if h.Version != 0 && h.Region != r.cfg.Self {
		return r.moved(h)
	}
	return nil
}

// ReadTimeline implements im.Mailbox.
func (r *Region) ReadTimeline(ctx context.Context, user im.UserID, after im.Seq, limit int) ([][]byte, error) {
	if err := r.here(ctx, user); err != nil {
		return nil, err
	}
	return r.cfg.Local.ReadTimeline(ctx, user, after, limit)
}

// ReadConversation implements im.Mailbox.
func (r *Region) ReadConversation(ctx context.Context, user im.UserID, from im.Seq, limit int) ([][]byte, im.Seq, error) {
	if err := r.here(ctx, user); err != nil {
		return nil, 0, err
	}
	return r.cfg.Local.ReadConversation(ctx, user, from, limit)
}

// ReadStatement implements im.StatementReader.
func (r *Region) ReadStatement(ctx context.Context, user im.UserID, from im.Seq, limit int) ([][]byte, im.Seq, error) {
	if err := r.here(ctx, user); err != nil {
		return nil, 0, err
	}
	return r.cfg.Local.ReadStatement(ctx, user, from, limit)
}

// Level implements im.Leveler.
func (r *Region) Level() im.Level { return r.cfg.Local.Level() }

// Stats are a Region's counters.
type Stats struct {
	// Elsewhere are commands for users who live in another region, Lookups
	// those that were asked for where a user lives, Unknown the ones for whom
	// the directory had no answer.
	Elsewhere uint64 `json:"elsewhere"`
	Lookups   uint64 `json:"lookups"`
	Unknown   uint64 `json:"unknown"`
	// Dropped are link messages whose receiver's region could not be found
	// out, Strays those that came to a region that the receiver had left.
	Dropped uint64 `json:"dropped"`
	Strays  uint64 `json:"strays"`
	// Corrected are homes that turned out to be others.
	Corrected uint64 `json:"corrected"`
	// Moves are the users who are on the way to another region.
	Moves int `json:"moves"`
	// Homes is how many are in memory.
	Homes int `json:"homes"`
}

// Stats reads the counters.
func (r *Region) Stats() Stats {
	return Stats{
		Elsewhere: r.stats.elsewhere.Load(), Lookups: r.stats.lookups.Load(), Unknown: r.stats.unknown.Load(),
		Dropped: r.stats.dropped.Load(), Strays: r.stats.strays.Load(), Corrected: r.stats.corrected.Load(),
		Moves: r.moves.count(), Homes: r.homes.count(),
	}
}

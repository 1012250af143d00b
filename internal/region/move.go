package region

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

const (
	// maxMoves is how many users move at a time; further ones wait.
	maxMoves = 8
	// maxPiece is about how many bytes go into one piece of what is carried.
	maxPiece = 512 << 10
	// maxPieceEntries is how many log entries do.
	maxPieceEntries = 2048
)

// moves are the users who are on the way, each with those who wait to move them
// further, in order.
type moves struct {
	mu      sync.Mutex
	running map[im.UserID][]chan struct{}
	slots   chan struct{}
}

func (m *moves) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.running)
}

// try makes a user one who moves; false: it is one already.
func (m *moves) try(user im.UserID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, busy := m.running[user]; busy {
		return false
	}
	m.running[user] = nil
	return true
}

// begin is try, but waits for its turn.
func (m *moves) begin(ctx context.Context, user im.UserID) error {
	if m.try(user) {
		return nil
	}
	turn := make(chan struct{})
	m.mu.Lock()
	if waiting, busy := m.running[user]; busy {
		m.running[user] = append(waiting, turn)
	} else {
		m.running[user] = nil
		close(turn)
	}
	m.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	waiting := m.running[user]
	if i := slices.Index(waiting, turn); i >= 0 {
		m.running[user] = slices.Delete(waiting, i, i+1)
	} else {
		m.passLocked(user)
	}
	return im.Errorf(im.Unavailable, "the user is moving already: %w", context.Cause(ctx))
}

// end lets the next one move the user.
func (m *moves) end(user im.UserID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passLocked(user)
}

func (m *moves) passLocked(user im.UserID) {
	waiting := m.running[user]
	if len(waiting) == 0 {
		delete(m.running, user)
		return
	}
	close(waiting[0])
	m.running[user] = waiting[1:]
}

// Moved says how a move went.
type Moved struct {
	Home im.Home `json:"home"`
	// Entries and Records are what was carried, Away for how long the user was
	// at neither end.
	Entries int           `json:"entries"`
	Records int           `json:"records"`
	Away    time.Duration `json:"away_ns"`
}

// Move moves a user who lives here to another region, and returns when that is
// done. It may be called again after any failure. Of several at a time for one user,
// each finds the user where the one before has left them.
func (r *Region) Move(ctx context.Context, user im.UserID, to im.Region) (*Moved, error) {
	if err := r.moves.begin(ctx, user); err != nil {
		return nil, err
	}
	defer r.moves.end(user)
	h, err := im.Await(ctx, func(done func(im.Home, error)) {
		r.homes.find(user, func(h im.Home, err error) {
			if err != nil {
				done(h, err)
				return
			}
			r.refresh(user, h, func(h im.Home) { done(h, nil) })
		})
	})
	switch {
	case err != nil:
		return nil, err
	case h.Region == to:
		return &Moved{Home: h}, nil
	case h.Region != r.cfg.Self:
		return nil, r.moved(h)
	case r.cfg.Far(to) == nil:
		return nil, im.Errorf(im.NotFound, "there is no region %s here", to)
	}
	return r.carry(ctx, user, im.Home{Region: to, Version: h.Version + 1}, false)
}

// resume goes on with a departure that was begun, in the background.
func (r *Region) resume(user im.UserID, to im.Home) {
	if !r.moves.try(user) {
		return
	}
	select {
	case r.moves.slots <- struct{}{}:
	default:
		// The user asks again.
		r.moves.end(user)
		return
	}
	r.tasks.Go(func() {
		defer func() { <-r.moves.slots }()
		defer r.moves.end(user)
		if _, err := r.carry(r.ctx, user, to, true); err != nil {
			r.cfg.Logger.Warn("a move cannot go on yet", "user", uint64(user), "to", string(to.Region), "err", err)
		}
	})
}

// carrier carries one user.
type carrier struct {
	r    *Region
	user im.UserID
	to   im.Home
	far  im.Mailbox
	// next is the entry that the destination wants.
	next  im.Seq
	moved Moved
}

// carry does all steps of a move. Each is harmless when repeated, so a move that
// was broken off begins here again. departed: the user has surely departed, with
// this home.
func (r *Region) carry(ctx context.Context, user im.UserID, to im.Home, departed bool) (*Moved, error) {
	far := r.cfg.Far(to.Region)
	if far == nil {
		return nil, im.Errorf(im.NotFound, "there is no region %s here", to.Region)
	}
	c := &carrier{r: r, user: user, to: to, far: far, moved: Moved{Home: to}}
	arrival, err := c.arrive(ctx)
	switch {
	case departed && im.KindOf(err) == im.Stale:
		// Nobody but this move could bring the user there with this version:
		// it did, and the user has moved on since.
		arrival = &im.Arrival{Settled: true}
	case err != nil:
		return nil, err
	}
	c.next = arrival.Next
	if !arrival.Settled {
		// What there is of the log goes ahead while the user still lives here.
		if err := c.carryLog(ctx); err != nil {
			return nil, err
		}
	}
	left := time.Now()
	departure, err := im.Ask[*im.Departure](ctx, r.cfg.Whole, im.User(user), &im.Depart{To: to.Region, Version: to.Version})
	if err != nil {
		return nil, err
	}
	if !arrival.Settled {
		if err := c.carryRest(ctx, departure.Head); err != nil {
			return nil, err
		}
	}
	if err := c.announce(ctx); err != nil {
		return nil, err
	}
	c.moved.Away = time.Since(left)
	if _, err := im.Do(ctx, r.cfg.Whole, im.User(user), &im.Depose{Version: to.Version}); err != nil {
		return nil, err
	}
	r.cfg.Logger.Info("a user has moved", "user", uint64(user), "to", string(to.Region), "version", to.Version,
		"entries", c.moved.Entries, "records", c.moved.Records, "away", c.moved.Away)
	return &c.moved, nil
}

func (c *carrier) arrive(ctx context.Context) (*im.Arrival, error) {
	first := im.Seq(1)
	entries, err := c.r.cfg.Local.ReadLog(ctx, im.User(c.user), 1, 1, 1)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		first = entries[0].Seq
	}
	return c.ask(ctx, &im.Arrive{From: c.r.cfg.Self, Version: c.to.Version, First: first})
}

// ask submits a step to the destination.
func (c *carrier) ask(ctx context.Context, cmd im.Command) (*im.Arrival, error) {
	return im.Ask[*im.Arrival](ctx, c.far, im.User(c.user), cmd)
}

// carryLog carries the log from next as far as it goes.
func (c *carrier) carryLog(ctx context.Context) error {
	for {
		entries, err := c.r.cfg.Local.ReadLog(ctx, im.User(c.user), c.next, maxPieceEntries, maxPiece)
		if err != nil || len(entries) == 0 {
			return err
		}
		piece := &im.ImportLog{Version: c.to.Version, First: entries[0].Seq}
		for _, e := range entries {
			piece.Entries = append(piece.Entries, e.Value)
		}
		arrival, err := c.ask(ctx, piece)
		if err != nil {
			return err
		}
		if arrival.Next <= c.next {
			return im.Errorf(im.Conflict, "region %s wants entry %d of user %d, and does not take it", c.to.Region, c.next, c.user)
		}
		c.moved.Entries += int(arrival.Next - c.next)
		c.next = arrival.Next
	}
}

// carryRest carries what the user has left behind, and has it live there.
func (c *carrier) carryRest(ctx context.Context, head im.Seq) error {
	if err := c.carryLog(ctx); err != nil {
		return err
	}
	records, err := c.r.cfg.Local.Records(ctx, im.User(c.user))
	if err != nil {
		return err
	}
	piece, size, count := &im.ImportRecords{Version: c.to.Version}, 0, 0
	for _, rec := range records {
		if entity.StaysBehind(rec.Key) {
			continue
		}
		count++
		piece.Records = append(piece.Records, rec)
		if size += len(rec.Key) + len(rec.Value); size >= maxPiece {
			if _, err := c.ask(ctx, piece); err != nil {
				return err
			}
			piece, size = &im.ImportRecords{Version: c.to.Version}, 0
		}
	}
	if _, err := c.ask(ctx, piece); err != nil {
		return err
	}
	c.moved.Records = count
	_, err = c.ask(ctx, &im.Inhabit{Version: c.to.Version, Head: head, Records: uint32(count)})
	return err
}

// announce says where the user lives now: there, here, and in the directory.
func (c *carrier) announce(ctx context.Context) error {
	set := &im.SetHome{Home: c.to}
	places := []im.Mailbox{c.far, c.r}
	if d := c.r.cfg.Directory; d != c.r.cfg.Self && d != c.to.Region {
		places = append(places, c.r.directory())
	}
	for _, m := range places {
		h, err := im.Ask[*im.Home](ctx, m, im.HomeAddr(c.user), set)
		if err != nil {
			return err
		}
		if h.Version < c.to.Version {
			return im.Errorf(im.Internal, "the home of user %d stays at version %d", c.user, h.Version)
		}
		c.r.learn(c.user, *h)
	}
	return nil
}

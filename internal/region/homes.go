package region

import (
	"sync"

	"github.com/skein-im/skein/internal/im"
)

const (
	// maxHomes is how many homes are in memory, maxWaiting how many messages
	// and commands may wait for lookups.
	maxHomes   = 1 << 20
	maxWaiting = 1 << 16
	// stripes share the locks.
	stripes = 64
)

// homes remembers where users live, and looks up what it does not know. A user
// who is looked up is in waiting until everything that waited has been let go, in
// order, and in known only then.
type homes struct {
	r       *Region
	stripes [stripes]stripe
}

type stripe struct {
	mu      sync.RWMutex
	known   map[im.UserID]im.Home
	waiting map[im.UserID][]func(im.Home, error)
	queued  int
}

func newHomes(r *Region) *homes {
	h := &homes{r: r}
	for i := range h.stripes {
		h.stripes[i].known = map[im.UserID]im.Home{}
		h.stripes[i].waiting = map[im.UserID][]func(im.Home, error){}
	}
	return h
}

func (h *homes) stripe(user im.UserID) *stripe {
	return &h.stripes[im.User(user).Slot()%stripes]
}

// known is where a user lives, if that is in memory.
func (h *homes) known(user im.UserID) (im.Home, bool) {
	s := h.stripe(user)
	s.mu.RLock()
	defer s.mu.RUnlock()
	home, ok := s.known[user]
	return home, ok
}

// learn takes a home that is newer than the one known, and reports whether it
// was.
func (h *homes) learn(user im.UserID, home im.Home) bool {
	s := h.stripe(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.learn(user, home)
}

func (s *stripe) learn(user im.UserID, home im.Home) bool {
	if home.Version <= s.known[user].Version {
		return false
	}
	if len(s.known) >= maxHomes/stripes {
		for one := range s.known {
			delete(s.known, one)
			break
		}
	}
	s.known[user] = home
	return true
}

func (h *homes) count() int {
	n := 0
	for i := range h.stripes {
		s := &h.stripes[i]
		s.mu.RLock()
		n += len(s.known)
		s.mu.RUnlock()
	}
	return n
}

// errCrowded refuses what would have to wait with too much else.
func errCrowded() error {
	return &im.Error{Kind: im.Busy, RetryAfterMS: 500, Detail: "too much waits to learn where users live"}
}

// find calls then with a user's home, at once if it is known. What waits for one
// user is let go in order.
func (h *homes) find(user im.UserID, then func(im.Home, error)) {
	s := h.stripe(user)
	s.mu.Lock()
	waiting, busy := s.waiting[user]
	home, ok := s.known[user]
	switch {
	case ok && !busy:
		s.mu.Unlock()
		then(home, nil)
		return
	case s.queued >= maxWaiting/stripes:
		s.mu.Unlock()
		then(im.Home{}, errCrowded())
		return
	}
	s.queued++
	s.waiting[user] = append(waiting, then)
	s.mu.Unlock()
	if !busy {
		h.r.stats.lookups.Add(1)
		h.r.lookup(user, func(home im.Home, err error) { h.found(user, home, err) })
	}
}

// found lets go what waited for a user.
func (h *homes) found(user im.UserID, home im.Home, err error) {
	if im.KindOf(err) == im.NotFound {
		h.r.stats.unknown.Add(1)
	}
	s := h.stripe(user)
	for {
		s.mu.Lock()
		waiting := s.waiting[user]
		s.queued -= len(waiting)
		if newer := s.known[user]; newer.Version > home.Version {
			home, err = newer, nil
		}
		if len(waiting) == 0 {
			delete(s.waiting, user)
			if err == nil {
				s.learn(user, home)
			}
			s.mu.Unlock()
			return
		}
		s.waiting[user] = nil
		s.mu.Unlock()
		for _, then := range waiting {
			then(home, err)
		}
	}
}

// lookup asks for a user's home: the own copy, then the directory.
func (r *Region) lookup(user im.UserID, then func(im.Home, error)) {
	askHome(r.cfg.Whole, user, &im.GetHome{}, func(home im.Home, err error) {
		switch {
		case im.KindOf(err) != im.NotFound:
			then(home, err)
		case r.cfg.Directory == r.cfg.Self:
			r.lookupOld(user, then)
		default:
			askHome(r.directory(), user, &im.GetHome{}, func(home im.Home, err error) {
				if err != nil {
					then(home, err)
					return
				}
				askHome(r.cfg.Whole, user, &im.SetHome{Home: home}, then)
			})
		}
	})
}

// refresh looks into the own copy again: another node of the region may have
// heard what this one has not. It calls then with the newer one of both.
func (r *Region) refresh(user im.UserID, h im.Home, then func(im.Home)) {
	askHome(r.cfg.Whole, user, &im.GetHome{}, func(copied im.Home, err error) {
		if err == nil && copied.Version > h.Version {
			r.homes.learn(user, copied)
			h = copied
		}
		then(h)
	})
}

// lookupOld is for users from before there were regions: they live where the
// directory is.
func (r *Region) lookupOld(user im.UserID, then func(im.Home, error)) {
	r.cfg.Whole.Submit(im.User(user), &im.ListDevices{}, im.CompletionFunc(func(_ im.Command, _ im.Result, err error) {
		if err != nil {
			then(im.Home{}, err)
			return
		}
		askHome(r.cfg.Whole, user, &im.SetHome{Home: im.Home{Region: r.cfg.Self, Version: 1}}, then)
	}))
}

// askHome submits a command that is answered with a home.
func askHome(m im.Mailbox, user im.UserID, cmd im.Command, then func(im.Home, error)) {
	m.Submit(im.HomeAddr(user), cmd, im.CompletionFunc(func(_ im.Command, res im.Result, err error) {
		home, ok := res.(*im.Home)
		switch {
		case err != nil:
			then(im.Home{}, err)
		case !ok:
			then(im.Home{}, im.Errorf(im.Internal, "a home was answered with %T", res))
		default:
			then(*home, nil)
		}
	}))
}

// learn takes word of where a user lives, here and in the own copy, and reports
// whether it is news.
func (r *Region) learn(user im.UserID, home im.Home) bool {
	if home.Version == 0 || im.CheckRegion(home.Region) != nil || !r.homes.learn(user, home) {
		return false
	}
	r.stats.corrected.Add(1)
	r.cfg.Whole.Submit(im.HomeAddr(user), &im.SetHome{Home: home}, nil)
	return true
}

// claim makes a user live here whom the directory does not know, and then
// submits the command that creates it.
func (r *Region) claim(user im.UserID, cmd im.Command, done im.Completion) {
	then := func(home im.Home, err error) {
		switch {
		case err != nil:
			fail(done, cmd, err)
		case home.Region != r.cfg.Self:
			fail(done, cmd, r.moved(home))
		default:
			r.homes.learn(user, home)
			r.cfg.Local.Submit(im.User(user), cmd, done)
		}
	}
	if h, ok := r.homes.known(user); ok {
		then(h, nil)
		return
	}
	want := &im.SetHome{Home: im.Home{Region: r.cfg.Self, Version: 1}}
	if r.cfg.Directory == r.cfg.Self {
		r.homeCommand(user, want, homeCompletion(then))
		return
	}
	askHome(r.directory(), user, want, func(home im.Home, err error) {
		if err != nil {
			then(home, err)
			return
		}
		// The own copy comes first: a user who exists is known here for ever.
		askHome(r.cfg.Whole, user, &im.SetHome{Home: home}, then)
	})
}

func homeCompletion(then func(im.Home, error)) im.Completion {
	return im.CompletionFunc(func(_ im.Command, res im.Result, err error) {
		if home, ok := res.(*im.Home); ok && err == nil {
			then(*home, nil)
			return
		}
		then(im.Home{}, err)
	})
}

// homeCommand answers commands about homes: of whoever asks here, and of other
// regions.
func (r *Region) homeCommand(user im.UserID, cmd im.Command, done im.Completion) {
	answer := func(home im.Home, err error) {
		if err != nil {
			fail(done, cmd, err)
			return
		}
		if done != nil {
			done.Complete(cmd, &home, nil)
		}
	}
	switch c := cmd.(type) {
	case *im.GetHome:
		r.homes.find(user, answer)
	case *im.SetHome:
		set := func() {
			askHome(r.cfg.Whole, user, c, func(home im.Home, err error) {
				if err == nil {
					r.homes.learn(user, home)
				}
				answer(home, err)
			})
		}
		if c.Home.Version > 1 {
			set()
			return
		}
		// A claim: of a user who has no home yet.
		r.homes.find(user, func(home im.Home, err error) {
			if im.KindOf(err) != im.NotFound {
				answer(home, err)
				return
			}
			set()
		})
	default:
		fail(done, cmd, im.Errorf(im.Unimplemented, "a home does not understand %T", cmd))
	}
}

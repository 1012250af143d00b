package admit

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// server is a queue behind a Controller on virtual time: requests arrive as a
// Poisson process, and are processed one after the other.
type server struct {
	rnd *rand.Rand
	ctl *Controller
	now time.Duration
	// service is the mean time to process a request; exponential.
	service time.Duration
	// offered is the mean number of arrivals per second.
	offered float64
	// heed is how late callers know the level before they submit; 0: they
	// do not look.
	heed   time.Duration
	levels []levelAt

	// patient callers do not try again before they were told to, or up to
	// twice as late: silent is until when a user does nothing.
	patient bool
	silent  map[im.UserID]time.Duration
	// users is how many there are; one class, if set, is all they ask for.
	users int
	only  Class
	// follow is how many further pieces of work each request makes, such as
	// link messages and acks.
	follow int
	// speed changes every 50 ms, as the processor's other work does.
	uneven bool
	speed  float64

	queue []work
	// free is when the server can take the next request; stalled until when
	// it takes none.
	free, stalled time.Duration
	nextArrival   time.Duration
	nextTick      time.Duration

	done    int
	latency []time.Duration
	// shed are the users of whom a request was shed.
	shed map[im.UserID]bool
}

// work is a request or what follows from one.
type work struct {
	arrived time.Duration
	follows bool
}

type levelAt struct {
	at    time.Duration
	level im.Level
}

func newServer(seed uint64, capacity float64) *server {
	return &server{
		rnd: rand.New(rand.NewPCG(seed, 1)), ctl: NewController(DefaultConfig()), speed: 1,
		service: time.Duration(float64(time.Second) / capacity),
		shed:    map[im.UserID]bool{}, silent: map[im.UserID]time.Duration{}, users: 20_000,
	}
}

// request is a command as a mailbox gets them: most are sends and acks.
func (s *server) request() (im.Level, im.UserID) {
	user := im.UserID(s.rnd.IntN(s.users))
	class := Live
	switch x := s.rnd.IntN(100); {
	case s.only != 0:
		class = s.only
	case x < 10:
		class = Keep
	case x < 60:
	case x < 80:
		class = Login
	case x < 90:
		class = Calls
	default:
		class = Reads
	}
	return LevelOf(class, user, 1), user
}

// known is the level as callers know it.
func (s *server) known() im.Level {
	level := im.AnyLevel
	for i := len(s.levels) - 1; i >= 0; i-- {
		if level = s.levels[i].level; s.levels[i].at+s.heed <= s.now {
			break
		}
	}
	return level
}

func (s *server) arrive() {
	level, user := s.request()
	if s.silent[user] > s.now {
		s.shed[user] = true
		return
	}
	if s.heed > 0 && classOfLevel(level) != Keep && level > s.known() || !s.ctl.Admit(level) {
		s.shed[user] = true
		if s.patient {
			wait := s.ctl.RetryAfter(level)
			s.silent[user] = s.now + wait + time.Duration(s.rnd.Int64N(int64(wait)))
		}
		return
	}
	s.queue = append(s.queue, work{arrived: s.now})
}

// run lets time pass under a load.
func (s *server) run(offered float64, length time.Duration) {
	s.offered = offered
	s.done, s.latency = 0, nil
	clear(s.shed)
	s.nextArrival = s.now + s.pause()
	for end := s.now + length; s.now < end; {
		start := time.Duration(math.MaxInt64)
		if len(s.queue) > 0 {
			start = max(s.free, s.stalled, s.queue[0].arrived)
		}
		s.now = min(s.nextArrival, s.nextTick, start)
		switch s.now {
		case s.nextTick:
			s.ctl.Tick(s.now)
			s.levels = append(s.levels, levelAt{s.now, s.ctl.Level()})
			s.nextTick += 50 * time.Millisecond
			if s.uneven {
				s.speed = []float64{0.1, 0.5, 1, 1.5, 1.9}[s.rnd.IntN(5)]
			}
		case start:
			s.process()
		default:
			s.arrive()
			s.nextArrival += s.pause()
		}
	}
}

func (s *server) pause() time.Duration {
	return max(1, time.Duration(s.rnd.ExpFloat64()/s.offered*float64(time.Second)))
}

func (s *server) process() {
	w := s.queue[0]
	s.queue = s.queue[1:]
	// Of the time that a request takes, what follows takes its share.
	s.free = s.now + time.Duration(s.rnd.ExpFloat64()*float64(s.service)/s.speed/float64(1+s.follow))
	if w.follows {
		s.ctl.Start()
		return
	}
	s.ctl.Observe(s.now - w.arrived)
	for range s.follow {
		s.ctl.Enter()
		s.queue = append(s.queue, work{arrived: s.now, follows: true})
	}
	s.done++
	s.latency = append(s.latency, s.free-w.arrived)
}

func (s *server) p99() time.Duration {
	if len(s.latency) == 0 {
		return 0
	}
	slices.Sort(s.latency)
	return s.latency[len(s.latency)*99/100]
}

// goodput is what was processed, as a share of the capacity.
func (s *server) goodput(length time.Duration) float64 {
	return float64(s.done) * float64(s.service) / float64(length)
}

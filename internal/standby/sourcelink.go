package standby

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// How long to wait before connecting again.
const (
	minReconnect = 50 * time.Millisecond
	maxReconnect = time.Second
	// complainEvery is how often it is logged that the standby is away.
	complainEvery = time.Minute
	// copiers is how many slots are copied at a time.
	copiers = 4
	// burst is about how much is written at once.
	burst = 1 << 20
)

// run keeps a link to the Follower.
func (s *Source) run(ctx context.Context) {
	defer close(s.done)
	var complained time.Time
	for wait := minReconnect; ; wait = min(2*wait, maxReconnect) {
		err := s.carry(ctx)
		if ctx.Err() != nil {
			return
		}
		if s.unlinked(err) {
			wait = minReconnect
		}
		if time.Since(complained) > complainEvery {
			complained = time.Now()
			s.cfg.Logger.Warn("the standby is out of reach", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// unlinked: what is known of copies has to be asked again. There was a link if
// it returns true.
func (s *Source) unlinked(err error) (was bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, s.cause = s.cause == nil, err
	s.ready = s.ready[:0]
	for at := range s.slots {
		sl := &s.slots[at]
		sl.phase, sl.sent, sl.listed, sl.wants = unasked, 0, false, nil
		if sl.epoch == 0 {
			// Nobody will ask about it.
			s.dropLocked(sl)
		} else {
			s.readyLocked(im.Slot(at))
		}
	}
	return was
}

// sourceLink is a connection to the Follower.
type sourceLink struct {
	*conn
	src *Source
	// copies are slots that wait for a copier, those together that were found at
	// once.
	copies chan []im.Slot
}

// carry connects and sends until the link breaks.
func (s *Source) carry(ctx context.Context) error {
	nc, err := s.cfg.Dial(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	l := &sourceLink{conn: newConn(nc), src: s, copies: make(chan []im.Slot, im.Slots)}
	if err := l.greet(); err != nil {
		return err
	}
	s.linked()
	group, gctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(gctx, func() { nc.Close() })()
	group.Go(l.read)
	group.Go(func() error { return l.writeLoop(gctx) })
	for range copiers {
		group.Go(func() error { return l.copyLoop(gctx) })
	}
	return group.Wait()
}

func (s *Source) linked() {
	s.mu.Lock()
	s.cause = nil
	s.stats.Links++
	s.mu.Unlock()
	s.nudge()
	s.cfg.Logger.Info("the standby is there")
}

func (l *sourceLink) greet() error {
	if err := l.send(frameHello, &storev1.StandbyHello{Region: l.src.cfg.Region, Node: l.src.cfg.Node}); err != nil {
		return err
	}
	_, m, err := l.receive(helloFrame)
	if err != nil {
		return err
	}
	hello, ok := m.(*storev1.StandbyHello)
	switch {
	case !ok:
		return im.Errorf(im.Invalid, "the standby did not greet")
	case hello.GetRefusal() != "":
		return im.Errorf(im.PermissionDenied, "the standby refuses: %s", hello.GetRefusal())
	}
	return nil
}

// read takes what the Follower says.
func (l *sourceLink) read() error {
	for {
		_, m, err := l.receive(maxFrame)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *storev1.StandbyPositions:
			err = l.src.heard(m)
		case *storev1.StandbyLogs:
			err = l.src.wanted(m)
		}
		if err != nil {
			return err
		}
	}
}

// errStrange is what an answer about a slot is that there is not.
func errStrange(slot uint32) error {
	return im.Errorf(im.Invalid, "there is no slot %d", slot)
}

// heard accounts for how far copies have come.
func (s *Source) heard(m *storev1.StandbyPositions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range m.GetSlots() {
		if p.GetSlot() >= im.Slots {
			return errStrange(p.GetSlot())
		}
		s.placeLocked(im.Slot(p.GetSlot()), p)
	}
	close(s.moved)
	s.moved = make(chan struct{})
	s.nudge()
	return nil
}

func (s *Source) placeLocked(at im.Slot, p *storev1.StandbyPosition) {
	sl, number, whole := &s.slots[at], p.GetPosition(), !p.GetBroken()
	known := number <= sl.position
	if whole && known {
		sl.copied = max(sl.copied, number)
	}
	answer := sl.phase == asked && p.GetEpoch() == uint64(sl.epoch)
	switch {
	case answer && p.GetStale():
		if whole && !known {
			// The newer owner has begun where this one has ended.
			sl.copied = sl.position
		}
		s.yieldLocked(at)
	case sl.phase == following && !known:
		// Only a newer owner can have brought it there.
		sl.phase = unasked
		s.readyLocked(at)
	case sl.phase == following:
		s.tookLocked(sl, number)
	case answer && whole && sl.covered(number):
		s.tookLocked(sl, number)
		sl.phase, sl.sent = following, 0
		s.readyLocked(at)
	case answer:
		sl.phase = behind
		s.readyLocked(at)
	}
}

// writeLoop sends what the ready slots have.
func (l *sourceLink) writeLoop(ctx context.Context) error {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	var out []byte
	for {
		var err error
		if out, err = l.src.collect(out[:0], l.copies); err != nil {
			return err
		}
		if len(out) > 0 {
			if err := l.write(out); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.src.wake:
		case <-ping.C:
			l.src.review()
			if err := l.send(framePing, nil); err != nil {
				return err
			}
		}
	}
}

// review asks again about slots whose copies have all that was sent and are not
// whole: they have parts of commits that were not sent from here. Perhaps there is a
// newer owner.
func (s *Source) review() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := range s.slots {
		if sl := &s.slots[at]; sl.phase == following && len(sl.queue) == 0 && sl.copied < sl.position {
			sl.phase = unasked
			s.readyLocked(im.Slot(at))
		}
	}
}

// collect takes what is to be written next, and hands slots to the copiers.
func (s *Source) collect(out []byte, copies chan<- []im.Slot) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ask := &storev1.StandbyAsk{}
	var copied []im.Slot
	for len(s.ready) > 0 && len(out) < burst {
		at := s.ready[0]
		sl := &s.slots[at]
		switch sl.phase {
		case unasked:
			if sl.epoch == 0 {
				s.yieldLocked(at)
			} else {
				sl.phase = asked
				ask.Slots, ask.Epochs = append(ask.Slots, uint32(at)), append(ask.Epochs, uint64(sl.epoch))
			}
		case behind:
			sl.phase = copying
			copied = append(copied, at)
		case following:
			for ; sl.sent < len(sl.queue) && len(out) < burst; sl.sent++ {
				out = append(out, sl.queue[sl.sent].frame...)
			}
			if sl.sent < len(sl.queue) {
				continue
			}
		}
		sl.listed = false
		s.ready = s.ready[1:]
	}
	for some := range slices.Chunk(copied, copyAtOnce) {
		copies <- some // It has room for every slot, and each is in it once.
	}
	if len(ask.Slots) == 0 {
		return out, nil
	}
	return appendFrame(out, frameAsk, ask)
}

var errNoAnswer = errors.New("the standby answers something else than was asked")

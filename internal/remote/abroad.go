package remote

import (
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Way is a relay's way to another region, for the nodes of its own.
type Way interface {
	im.Mailbox
	// Receive takes a link message for that region; it returns at once.
	Receive(m *entity.Message)
	// Reach says how it stands with the region. It is asked often.
	Reach() im.Reach
}

// choose finds what the client has asked for.
func (l *serverLink) choose() error {
	cfg := &l.srv.cfg
	switch {
	case l.peer.region != "":
		if cfg.Ways != nil {
			l.way = cfg.Ways(l.peer.region)
		}
		if l.way == nil {
			return im.Errorf(im.NotFound, "node %q does not lead to region %q", cfg.Node, l.peer.region)
		}
		l.mailbox = l.way
	case l.peer.inner != 0 && cfg.Inner != nil:
		l.mailbox = cfg.Inner
	default:
		l.mailbox = cfg.Mailbox
	}
	if l.mailbox == nil {
		return im.Errorf(im.NotFound, "node %q has no mailbox", cfg.Node)
	}
	return nil
}

// news is how it stands with the region, unless the client knows.
func (l *serverLink) news() *im.Reach {
	now := l.way.Reach()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.parting || l.reach != nil && l.reach.Equal(&now) {
		return nil
	}
	return &now
}

// lookAbroad has the client told of what is new.
func (l *serverLink) lookAbroad() {
	if l.news() != nil {
		l.nudge()
	}
}

// reach hears how it stands with the region that the link leads to.
func (l *clientLink) reach(payload []byte) error {
	r, err := readReach(payload)
	if err != nil {
		return err
	}
	if l.client.cfg.Reach != nil {
		l.client.cfg.Reach(&r)
	}
	return nil
}

var reachSlots = []slot[im.Reach]{
	flag(func(r *im.Reach) *bool { return &r.Up }),
	texts(func(r *im.Reach) *[]string { return &r.Links }),
	texts(func(r *im.Reach) *[]string { return &r.HTTP }),
	flag(func(r *im.Reach) *bool { return &r.Alike }),
}

func appendReach(dst []byte, r *im.Reach) []byte {
	dst, at := openFrame(dst, typeReach)
	return closeFrame(appendSlots(dst, r, reachSlots), at)
}

func readReach(b []byte) (r im.Reach, err error) {
	f, set := fields{rest: b}, setSlots(reachSlots)
	for f.next() {
		set(&r, &f)
	}
	if len(r.Links) > im.MaxPlaces || len(r.HTTP) > im.MaxPlaces {
		return r, im.Errorf(im.Invalid, "a region with more than %d addresses", im.MaxPlaces)
	}
	return r, f.err("reach of a region")
}

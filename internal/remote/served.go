package remote

import (
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Nodes tell each other, and their gateways, which slots they have acquired. Who is
// not told, because there is no link, finds out from an answer, or the members.

// Announce tells the mailbox node that this one serves slots from now on, under
// these epochs.
func (c *Client) Announce(slots []im.Slot, epochs []im.Epoch) {
	c.hand(typeServed, func(dst []byte) []byte { return appendServed(dst, slots, epochs) })
}

// Announce tells every client that this node serves slots from now on, under these
// epochs.
func (s *Server) Announce(slots []im.Slot, epochs []im.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.links {
		l.announce(typeServed, slots, epochs)
	}
}

// Left tells every client that this node has handed over slots that it had under
// these epochs.
func (s *Server) Left(slots []im.Slot, epochs []im.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.links {
		l.announce(typeLeft, slots, epochs)
	}
}

// announce tells the client of this link.
func (l *serverLink) announce(t wire.Type, slots []im.Slot, epochs []im.Epoch) {
	if len(slots) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	before := len(l.out)
	var at int
	l.out, at = openFrame(l.out, t)
	l.out = closeFrame(appendServed(l.out, slots, epochs), at)
	l.queued(before)
}

func appendServed(dst []byte, slots []im.Slot, epochs []im.Epoch) []byte {
	list := make([]uint64, len(slots))
	for i, s := range slots {
		list[i] = uint64(s)
	}
	return appendNumbers(appendNumbers(dst, 1, list), 2, epochs)
}

// readServed reads slots and their epochs, which earlier versions leave out.
func readServed(b []byte) (slots []im.Slot, epochs []im.Epoch, err error) {
	var list []uint64
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case 1:
			list = numbers(&f, list)
		case 2:
			epochs = numbers(&f, epochs)
		}
	}
	if len(list) > im.Slots || len(epochs) > 0 && len(epochs) != len(list) {
		return nil, nil, im.Errorf(im.Invalid, "%d slots with %d epochs; there are %d", len(list), len(epochs), im.Slots)
	}
	slots = make([]im.Slot, len(list))
	for i, n := range list {
		if n >= im.Slots {
			return nil, nil, im.Errorf(im.Invalid, "slot %d does not exist", n)
		}
		slots[i] = im.Slot(n)
	}
	return slots, epochs, f.err("list of slots")
}

// served hears from another node that it serves slots from now on.
func (l *serverLink) served(payload []byte) error {
	if l.srv.cfg.Served == nil {
		l.traffic.skipped.Add(1)
		return nil
	}
	slots, epochs, err := readServed(payload)
	if err != nil {
		return err
	}
	l.srv.cfg.Served(l.peer.node, slots, epochs)
	return nil
}

// served hears from the mailbox node that it serves slots from now on, left that it
// does so no longer.
func (l *clientLink) served(payload []byte) error { return hear(payload, l.client.cfg.Served) }
func (l *clientLink) left(payload []byte) error   { return hear(payload, l.client.cfg.Left) }

func hear(payload []byte, tell func([]im.Slot, []im.Epoch)) error {
	slots, epochs, err := readServed(payload)
	if err != nil {
		return err
	}
	if tell != nil && len(epochs) > 0 {
		tell(slots, epochs)
	}
	return nil
}

package route

import "github.com/skein-im/skein/internal/im"

// tenure is an acquisition of a slot that was heard of. It says more than the
// placement, which only says who is to serve a slot: where slots move, the old owner
// serves them until it has handed them over, and the new one from its acquisition
// on. Epochs tell which of two tenures is the later one, whoever says so, and when.
type tenure struct {
	epoch im.Epoch
	node  string
	// over: the node does not serve the slot any more.
	over bool
}

// Learn hears from a node which slots it has acquired, and under which epochs.
func (m *Mailbox) Learn(name string, slots []im.Slot, epochs []im.Epoch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, news := m.view.Load(), false
	for i, slot := range slots {
		if m.note(slot, tenure{epoch: epochs[i], node: name}) {
			m.place(v, slot)
			news = true
		}
	}
	if news && !m.closed {
		m.hurry(v)
	}
}

// Leave hears from a node which slots it has handed over, that it had under these
// epochs: commands go to who is to serve them next.
func (m *Mailbox) Leave(name string, slots []im.Slot, epochs []im.Epoch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.view.Load()
	for i, slot := range slots {
		if t := &m.tenures[slot]; t.epoch <= epochs[i] {
			*t = tenure{epoch: epochs[i], node: name, over: true}
			m.place(v, slot)
		}
	}
}

// heed takes from a node's answer, that it does not serve a slot, what it says of
// who does, and reports whether another node is to be asked now.
func (m *Mailbox) heed(slot im.Slot, asked *node, err error) (another bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, name := m.view.Load(), asked.member.Node
	if t := &m.tenures[slot]; t.node == name {
		t.over = true
	}
	if o, ok := im.OwnerIn(err); ok {
		m.note(slot, tenure{o.Epoch, o.Node, o.Node == name})
	}
	m.place(v, slot)
	now := v.owners[slot].Load()
	return now != nil && now.link != asked.link
}

// note remembers a tenure, unless there is a later one. The caller has the mutex.
func (m *Mailbox) note(slot im.Slot, t tenure) bool {
	if t.epoch <= m.tenures[slot].epoch {
		return false
	}
	m.tenures[slot] = t
	return true
}

// place says who serves a slot: its last owner, while that is there and has not
// said otherwise, or who is to. The caller has the mutex.
func (m *Mailbox) place(v *view, slot im.Slot) {
	n := v.due[slot]
	if t := m.tenures[slot]; !t.over && v.byName[t.node] != nil {
		n = v.byName[t.node]
	}
	v.owners[slot].Store(n)
}

package sim

import (
	"time"

	"github.com/skein-im/skein/internal/entity"
)

// network carries link messages between nodes, and loses, repeats, delays and
// reorders them.
type network struct {
	w *world
	// cut[i][j]: nothing gets from node i to node j.
	cut [][]bool
}

func newNetwork(w *world) network {
	n := network{w: w}
	for range w.plan.nodes {
		n.cut = append(n.cut, make([]bool, w.plan.nodes))
	}
	return n
}

// send carries a message from a node to whom the node believes to own its
// entity.
func (t *network) send(from *node, m *entity.Message) {
	w := t.w
	pos, ok := w.slotPos[m.To.Slot()]
	if !ok {
		w.fail("a link message to %v, who has no slot here", m.To)
	}
	to := w.nodes[from.view.owner[pos]]
	copies := 1
	if w.fault(w.plan.drop) {
		copies = 0
	}
	if w.fault(w.plan.repeat) {
		copies++
	}
	for range copies {
		delay := w.between(0, w.plan.delay)
		if w.fault(w.plan.late) {
			delay += w.between(0, w.plan.lateness)
		}
		w.after(delay, func() {
			if from != to && t.cut[from.id][to.id] {
				return
			}
			to.receive(m)
		})
	}
	w.logf("node %d: link %v -> %v seq %d ack %d kind %d to node %d (%d copies)", from.id, m.From, m.To, m.Seq, m.Ack, m.Body.Kind, to.id, copies)
}

// split cuts the nodes into two groups, one way or both, for a while.
func (t *network) split() {
	w := t.w
	side := make([]bool, len(w.nodes))
	for i := range side {
		side[i] = w.chance(0.5)
	}
	oneWay := w.chance(0.3)
	for i := range side {
		for j := range side {
			if side[i] && !side[j] || !oneWay && side[i] != side[j] {
				t.cut[i][j] = true
			}
		}
	}
	w.after(w.between(0, 4*time.Second), t.heal)
}

// heal ends every cut. Both ends hear that they can reach each other again.
func (t *network) heal() {
	for i := range t.cut {
		for j, cut := range t.cut[i] {
			if cut {
				t.cut[i][j] = false
				t.w.nodes[i].reached(t.w.nodes[j])
				t.w.nodes[j].reached(t.w.nodes[i])
			}
		}
	}
}

package cluster

import "github.com/skein-im/skein/internal/store"

// parse leaves out the records that are of no use. They are read again twice a
// second, so what is wrong with one is logged when that changes, and counted each
// time.
func (m *Membership) parse(records []store.Member) []Member {
	members := make([]Member, 0, len(records)+1)
	wrong := map[string]string{}
	for _, r := range records {
		member, err := parse(r)
		if err == nil {
			members = append(members, member)
			continue
		}
		m.useless.Add(1)
		wrong[r.Node] = err.Error()
		if m.wrong[r.Node] != wrong[r.Node] {
			m.cfg.Logger.Warn("a node's record is of no use; it is left out until that changes", "node", r.Node, "err", err)
		}
	}
	for node := range m.wrong {
		if _, still := wrong[node]; !still {
			m.cfg.Logger.Info("a node's record that was of no use is gone, or can be read now", "node", node)
		}
	}
	m.wrong = wrong
	return members
}

// Useless is how often a record was read that was of no use.
func (m *Membership) Useless() uint64 { return m.useless.Load() }

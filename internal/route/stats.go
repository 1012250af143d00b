package route

// Stats are a Mailbox's counters and gauges.
type Stats struct {
	// Nodes is how many there are, Waiting how many commands wait to be
	// repeated.
	Nodes, Waiting int
	// Repeated commands; Corrected ones went on to the node that the one before
	// had named; Unrouted ones were about sessions that no node has;
	// Dropped link messages were for entities that no node is to serve.
	Repeated, Corrected, Unrouted, Dropped uint64
}

// Stats returns the counters.
func (m *Mailbox) Stats() Stats {
	st := Stats{
		Nodes:    len(m.view.Load().nodes),
		Repeated: m.repeated.Load(), Corrected: m.corrected.Load(), Unrouted: m.unrouted.Load(), Dropped: m.dropped.Load(),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	st.Waiting = len(m.waiting)
	return st
}

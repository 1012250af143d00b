package monitor

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/samplelog"
	"github.com/skein-im/skein/internal/series"
)

// NodeNow is a node as it is.
type NodeNow struct {
	Name string `json:"name"`
	URL  string `json:"url,omitempty"`
	Up   bool   `json:"up"`
	// Error is why it is not up, in words.
	Error string `json:"error,omitempty"`
	// Roles are those it has metrics of.
	Roles []string `json:"roles"`
	About
	// AgeMS is how old its numbers are, TookMS how long it took to get them,
	// -1: there are none.
	AgeMS  int64 `json:"age_ms"`
	TookMS int64 `json:"took_ms"`
	// Skipped is how many of its numbers were not taken.
	Skipped int `json:"skipped,omitempty"`
	// Values are by the IDs of perNode and seriesUp; what counts is per
	// second.
	Values map[string]float64 `json:"values"`
}

// now describes a node, and adds its values to the sums if they still count.
func (n *node) now(at time.Time, pause time.Duration, sums *aggregates) NodeNow {
	n.mu.Lock()
	defer n.mu.Unlock()
	one := NodeNow{
		Name: n.target.Name, URL: n.target.URL, About: n.target.About, Up: n.fresh(at, pause), AgeMS: -1, TookMS: -1,
		Values: map[string]float64{seriesUp: 0}, Skipped: n.skipped,
	}
	if !n.answered.IsZero() {
		one.AgeMS, one.TookMS = at.Sub(n.answered).Milliseconds(), n.took.Milliseconds()
	}
	if n.err != nil {
		one.Error = n.err.Error()
	}
	if !one.Up {
		if one.Error == "" {
			one.Error = "it has not answered yet"
		}
		return one
	}
	sums.add(n.values)
	one.Values[seriesUp] = 1
	if n.picked == nil {
		n.pick()
	}
	for i, picked := range n.picked {
		acc, count := 0.0, 0
		for _, v := range picked {
			if v.known {
				acc = perNode[i].merge.Across(acc, count, v.now)
				count++
			}
		}
		if count > 0 {
			one.Values[perNode[i].id] = acc
		}
	}
	one.Roles = n.roles
	return one
}

// pick finds the values that the series of the node are made of, and by which it
// is known what the node does.
func (n *node) pick() {
	n.picked, n.roles = make([][]*value, len(perNode)), nil
	for _, r := range roleMetrics {
		for name := range n.values {
			if r.of.matches(name) {
				n.roles = append(n.roles, r.role)
				break
			}
		}
	}
	for name, v := range n.values {
		for i, s := range perNode {
			if slices.ContainsFunc(s.of, func(s selector) bool { return s.matches(name) }) {
				n.picked[i] = append(n.picked[i], v)
			}
		}
	}
}

// State is everything as it is in a second.
type State struct {
	Time    int64        `json:"time"`
	Monitor MonitorState `json:"monitor"`
	// Nodes are sorted by name.
	Nodes  []NodeNow `json:"nodes"`
	Alerts []Alert   `json:"alerts"`

	once sync.Once
	text []byte
}

// MonitorState is what a Monitor says of itself.
type MonitorState struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Writes says whether it writes the logs and calls the webhook.
	Writes bool `json:"writes"`
	// Problems are in words, for people.
	Problems []string `json:"problems"`
	// PauseMS is how far apart the pulls of one node are.
	PauseMS int64        `json:"pause_ms"`
	Series  series.Stats `json:"series"`
	// LogBytes were written by this process; LogLost seconds were not.
	LogBytes uint64       `json:"log_bytes"`
	LogLost  uint64       `json:"log_lost"`
	Webhook  WebhookStats `json:"webhook"`
	// LatePulls were left out because the one before was not over, Jumps is
	// how often the system's clock has jumped, Refused and AlertsDropped what
	// was beyond a bound.
	LatePulls     uint64 `json:"late_pulls"`
	Jumps         uint64 `json:"clock_jumps"`
	Refused       uint64 `json:"values_refused"`
	AlertsDropped uint64 `json:"alerts_dropped"`
	TargetsLeft   int    `json:"targets_left_out"`
}

// publish makes a second known to those who ask.
func (m *Monitor) publish(v *view, firing []Alert) {
	s := &State{Time: v.at, Nodes: v.nodes, Alerts: firing}
	var log samplelog.Stats
	if m.history.w != nil {
		log = m.history.w.Stats()
	}
	s.Monitor = MonitorState{
		Name: m.cfg.Name, Version: m.cfg.Version, Writes: m.history.leads(), PauseMS: pauseFor(len(m.nodes)).Milliseconds(),
		Series: v.store.Stats(), LogBytes: log.Bytes, LogLost: log.Lost, Webhook: m.webhook.Stats(),
		LatePulls: m.puller.late, Jumps: m.jumps, Refused: m.sums.refused, AlertsDropped: m.alerts.dropped, TargetsLeft: m.excess,
	}
	s.Monitor.Problems = s.Monitor.problems(m.history.err, m.clock.behind)
	m.state.Store(s)
}

// problems says what is wrong with the Monitor itself.
func (s *MonitorState) problems(log error, behind bool) []string {
	p := []string{}
	say := func(is bool, text string) {
		if is {
			p = append(p, text)
		}
	}
	if log != nil {
		p = append(p, "The samples are not logged: "+log.Error())
	}
	say(s.Webhook.Error != "", "The webhook fails: "+s.Webhook.Error)
	say(behind, "The system's clock was set back; times are ahead of it until it has caught up or the monitor is restarted.")
	say(s.TargetsLeft > 0, "There are more targets than the monitor takes; the rest is left out.")
	say(s.Series.Series >= s.Series.Bound, "There are more series than the monitor keeps (--monitor-series); some are left out.")
	say(s.PauseMS > 1000, "There are so many nodes that each is asked less than once a second.")
	return p
}

// JSON is the state as it is served, made once.
func (s *State) JSON() []byte {
	s.once.Do(func() {
		var err error
		if s.text, err = json.Marshal(s); err != nil {
			panic("monitor: a state that is not JSON: " + err.Error())
		}
	})
	return s.text
}

// State is the last second's.
func (m *Monitor) State() *State { return m.state.Load() }

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

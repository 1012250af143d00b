package monitor

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/samplelog"
	"github.com/skein-im/skein/internal/series"
)

// DefaultSeries is how many series a Monitor keeps: 8192 take 74 MB after a day.
const DefaultSeries = 8192

// Config is what a Monitor needs.
type Config struct {
	// Name tells this Monitor from others, Version is the program's.
	Name, Version string
	Targets       Targets
	// Token is the operator's, for targets on other machines.
	Token string
	// Dir is where logs are; empty: there are none. LogBytes bounds them.
	Dir      string
	LogBytes int64
	// Webhook is told of alerts; empty: nobody is.
	Webhook string
	// Thresholds are those of rules that are others than Rules has.
	Thresholds Thresholds
	// Series bounds the series; 0: DefaultSeries.
	Series int
	Logger *slog.Logger
	// Wall is the system's clock in Unix seconds; nil: that of package time.
	Wall func() int64
	// Log overlays what logs are written with; its Dir is not heeded.
	Log samplelog.Config
}

// Monitor collects. Start starts it.
type Monitor struct {
	cfg     Config
	began   time.Time
	store   atomic.Pointer[series.Store]
	state   atomic.Pointer[State]
	fetcher *fetcher
	webhook *webhook
	talkers asked
	traces  asked

	// The rest belongs to the loop.
	clock   *clock
	last    int64
	nodes   []*node
	excess  int
	puller  *puller
	sums    aggregates
	alerts  *alerts
	history history
	// restored is where what was read back comes from.
	restored chan *series.Store
	jumps    uint64

	stop  context.CancelFunc
	tasks sync.WaitGroup
}

// New makes a Monitor.
func New(cfg Config) (*Monitor, error) {
	if cfg.Targets == nil || cfg.Logger == nil {
		return nil, im.Errorf(im.Invalid, "monitor: targets and a logger are needed")
	}
	cfg.Series = cmp.Or(cfg.Series, DefaultSeries)
	if cfg.Wall == nil {
		cfg.Wall = func() int64 { return time.Now().Unix() }
	}
	m := &Monitor{
		cfg: cfg, began: time.Now(), fetcher: newFetcher(cfg.Token), webhook: newWebhook(cfg.Webhook, cfg.Logger),
		clock: newClock(cfg.Wall), sums: aggregates{byName: map[string]*aggregate{}, most: cfg.Series},
		alerts: newAlerts(cfg.Thresholds.over(Rules())), restored: make(chan *series.Store, 1),
	}
	m.puller = &puller{fetcher: m.fetcher, jobs: make(chan *node, pullers)}
	m.history = history{cfg: cfg.Log, log: cfg.Logger}
	m.history.cfg.Dir, m.history.cfg.MaxBytes = cfg.Dir, cmp.Or(cfg.Log.MaxBytes, cfg.LogBytes)
	m.store.Store(series.New(cfg.Series))
	m.state.Store(&State{Monitor: MonitorState{Name: cfg.Name, Version: cfg.Version, Problems: []string{}}, Nodes: []NodeNow{}, Alerts: []Alert{}})
	return m, nil
}

// Start begins to collect.
func (m *Monitor) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	now, _ := m.clock.now()
	if m.cfg.Dir != "" {
		m.alerts.adopt(alertsIn(m.cfg.Dir), now)
		m.tasks.Go(func() { m.restored <- restore(m.cfg.Dir, m.cfg.Series, now, m.cfg.Logger) })
	}
	for range pullers {
		m.tasks.Go(func() { m.puller.run(ctx) })
	}
	if m.webhook != nil {
		m.tasks.Go(func() { m.webhook.run(ctx) })
	}
	m.tasks.Go(func() { m.run(ctx) })
}

// Stop ends it. What was collected stays readable.
func (m *Monitor) Stop() error {
	if m.stop == nil {
		return nil
	}
	m.stop()
	m.tasks.Wait()
	m.fetcher.close()
	return m.history.close()
}

func (m *Monitor) run(ctx context.Context) {
	seconds, slots := time.NewTicker(time.Second), time.NewTicker(slot)
	defer seconds.Stop()
	defer slots.Stop()
	m.refresh()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-slots.C:
			m.puller.due(m.nodes, at)
		case <-seconds.C:
			m.second()
		case s := <-m.restored:
			m.rejoin(s)
		}
	}
}

// rejoin adds what was collected meanwhile to what was read back.
func (m *Monitor) rejoin(s *series.Store) {
	now := m.store.Load()
	for _, name := range now.Names() {
		r := now.Range(name, m.last-series.Tiers[0].Span()+1, m.last, int(series.Tiers[0].Points))
		for i, v := range r.Values {
			if v == v {
				s.Add(r.Start+int64(i), name, r.Merge, float64(v))
			}
		}
	}
	m.store.Store(s)
}

// second does what is done once a second, however many nodes there are.
func (m *Monitor) second() {
	at, jumped := m.clock.now()
	if jumped != 0 {
		m.jumps++
		m.cfg.Logger.Warn("the system's clock has jumped", "seconds", jumped)
	}
	at = max(at, m.last+1)
	m.last = at
	m.refresh()
	began := m.history.lead()
	v := m.collect(at)
	before := m.alerts.firing()
	if began {
		// What the one before has told is known from its log.
		before = alertsIn(m.cfg.Dir)
	}
	m.alerts.evaluate(v)
	firing := m.alerts.firing()
	changes := difference(before, firing)
	for _, c := range changes {
		m.cfg.Logger.Warn("alert", "rule", c.Rule, "subject", c.Subject, "firing", c.Firing, "value", c.Value, "why", c.Why)
	}
	if m.history.leads() {
		m.webhook.tell(message{Monitor: m.cfg.Name, Time: at, Alerts: changes})
	}
	m.history.write(at, firing, len(changes) > 0)
	m.publish(v, firing)
}

// refresh asks which targets there are.
func (m *Monitor) refresh() {
	targets := m.cfg.Targets.Targets()
	m.excess = max(0, len(targets)-MaxTargets)
	targets = targets[:len(targets)-m.excess]
	known := make(map[string]*node, len(m.nodes))
	for _, n := range m.nodes {
		known[n.target.URL+" "+n.target.Name] = n
	}
	same := len(targets) == len(m.nodes)
	nodes := make([]*node, len(targets))
	for i, t := range targets {
		n := known[t.URL+" "+t.Name]
		if n == nil {
			n = &node{values: map[string]*value{}}
			same = false
		}
		n.mu.Lock()
		n.target = t
		n.mu.Unlock()
		nodes[i] = n
	}
	if !same {
		m.nodes = nodes
	}
}

// collect puts the values of all nodes together.
func (m *Monitor) collect(at int64) *view {
	store := m.store.Load()
	v := &view{at: at, now: map[string]float64{}, store: store, nodes: make([]NodeNow, 0, len(m.nodes))}
	add := func(name string, merge series.Merge, x float64) {
		if store.Add(at, name, merge, x) {
			m.history.sample(name, merge, x)
		}
	}
	m.sums.begin()
	now, pause := time.Now(), pauseFor(len(m.nodes))
	up := 0.0
	for _, n := range m.nodes {
		one := n.now(now, pause, &m.sums)
		add(seriesUp+"@"+one.Name, series.Min, one.Values[seriesUp])
		for _, s := range perNode {
			if x, ok := one.Values[s.id]; ok {
				add(s.id+"@"+one.Name, s.merge, x)
			}
		}
		up += one.Values[seriesUp]
		v.nodes = append(v.nodes, one)
	}
	add(seriesUp, series.Min, up)
	m.sums.each(func(name string, merge series.Merge, x float64) {
		add(name, merge, x)
		v.now[name] = x
	})
	if x, ok := v.merged(requests...); ok {
		add(seriesRequests, series.Sum, x)
		v.now[seriesRequests] = x
	}
	slices.SortFunc(v.nodes, func(a, b NodeNow) int { return cmp.Compare(a.Name, b.Name) })
	return v
}

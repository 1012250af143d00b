package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/supervise"
	"github.com/skein-im/skein/internal/telemetry"
)

// collector exports the counters that roles keep anyway: at each scrape it
// takes one sample of each process and adds them up. docs/METRICS.md lists what
// there is, and a test holds it to that.
type collector[S any] struct {
	samples func() []S
	metrics []metric[S]
}

// metric is one exported number or histogram, read from samples of type S.
type metric[S any] struct {
	desc *prometheus.Desc
	emit func(d *prometheus.Desc, samples []S) prometheus.Metric
}

func (c *collector[S]) add(name, help string, labels []string, emit func(*prometheus.Desc, []S) prometheus.Metric) {
	pairs := prometheus.Labels{}
	for i := 0; i < len(labels); i += 2 {
		pairs[labels[i]] = labels[i+1]
	}
	c.metrics = append(c.metrics, metric[S]{prometheus.NewDesc(name, help, nil, pairs), emit})
}

// count and gauge export a number; labels are names and values in turn.
func (c *collector[S]) count(name, help string, read func(*S) float64, labels ...string) {
	c.add(name, help, labels, number(prometheus.CounterValue, read))
}

func (c *collector[S]) gauge(name, help string, read func(*S) float64, labels ...string) {
	c.add(name, help, labels, number(prometheus.GaugeValue, read))
}

func number[S any](typ prometheus.ValueType, read func(*S) float64) func(*prometheus.Desc, []S) prometheus.Metric {
	return func(d *prometheus.Desc, samples []S) prometheus.Metric {
		sum := 0.0
		for i := range samples {
			sum += read(&samples[i])
		}
		return prometheus.MustNewConstMetric(d, typ, sum)
	}
}

// times exports a histogram of durations, in seconds.
func (c *collector[S]) times(name, help string, read func(*S) *telemetry.Counts, labels ...string) {
	c.add(name, help, labels, histogram(telemetry.DurationBounds(), 1e-9, read))
}

// sizes exports a histogram of numbers of things.
func (c *collector[S]) sizes(name, help string, read func(*S) *telemetry.Counts, labels ...string) {
	c.add(name, help, labels, histogram(telemetry.SizeBounds(), 1, read))
}

func histogram[S any](bounds [telemetry.Buckets]float64, unit float64, read func(*S) *telemetry.Counts) func(*prometheus.Desc, []S) prometheus.Metric {
	return func(d *prometheus.Desc, samples []S) prometheus.Metric {
		var sum telemetry.Counts
		for i := range samples {
			if one := read(&samples[i]); one != nil {
				sum.Add(one)
			}
		}
		cumulated, n := make(map[float64]uint64, len(bounds)), uint64(0)
		for i, bound := range bounds {
			n += sum.N[i]
			cumulated[bound] = n
		}
		return prometheus.MustNewConstHistogram(d, sum.Total(), float64(sum.Sum)*unit, cumulated)
	}
}

// countEach exports counters of a table, one for each of the label's values;
// an empty value is left out.
func (c *collector[S]) countEach(name, help, label string, values []string, read func(*S) []uint64, labels ...string) {
	for i, value := range values {
		if value != "" {
			c.count(name, help, func(s *S) float64 { return float64(read(s)[i]) }, append([]string{label, value}, labels...)...)
		}
	}
}

// queue exports how much waits in a queue, and how much may. Every queue is
// exported so, which lets one rule watch over all of them.
func (c *collector[S]) queue(name string, length, limit func(*S) int) {
	c.gauge("skein_queue_length", "What waits, or is under way, in a bounded queue.", func(s *S) float64 { return float64(length(s)) }, "queue", name)
	c.gauge("skein_queue_limit", "How much a queue holds; beyond it, requests are refused as busy.", func(s *S) float64 { return float64(limit(s)) }, "queue", name)
}

// queueBytes is queue for what is bounded in bytes.
func (c *collector[S]) queueBytes(name string, length, limit func(*S) int) {
	c.gauge("skein_queue_bytes", "Bytes of what waits in a queue.", func(s *S) float64 { return float64(length(s)) }, "queue", name)
	c.gauge("skein_queue_limit_bytes", "How many bytes a queue holds; beyond it, requests are refused as busy.", func(s *S) float64 { return float64(limit(s)) }, "queue", name)
}

// Describe implements prometheus.Collector.
func (c *collector[S]) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector[S]) Collect(ch chan<- prometheus.Metric) {
	samples := c.samples()
	for _, m := range c.metrics {
		ch <- m.emit(m.desc, samples)
	}
}

// errorKinds are the values of the label kind, by shard.KindIndex.
func errorKinds() []string {
	kinds := make([]string, shard.Kinds)
	for i := 1; i < len(kinds); i++ {
		kinds[i] = kindName(i)
	}
	return kinds
}

// collectors are those of the roles that the node has.
func (n *Node) collectors() []prometheus.Collector {
	all := []prometheus.Collector{n.nodeCollector()}
	if n.back != nil {
		all = append(all, n.backCollector())
	}
	if n.back != nil && n.back.source != nil {
		all = append(all, n.sourceCollector())
	}
	if n.standby != nil {
		return append(all, n.followerCollector())
	}
	if n.router != nil {
		all = append(all, n.routerCollector())
	}
	if n.shared != nil && n.route != nil {
		all = append(all, n.sharedCollector(), n.engineCollector())
	}
	if n.regions != nil {
		all = append(all, n.regionsCollector())
	}
	if n.front != nil {
		all = append(all, n.frontCollector())
	} else if n.back != nil || n.regions != nil {
		all = append(all, n.traceCollector())
	}
	if n.workers != nil {
		all = append(all, n.workersCollector())
	}
	return all
}

func (n *Node) workersCollector() prometheus.Collector {
	c := &collector[supervise.WorkerInfo]{samples: n.workers.supervisor.Workers}
	c.gauge("skein_workers", "Worker processes that there should be.", func(*supervise.WorkerInfo) float64 { return 1 })
	c.gauge("skein_workers_ready", "Worker processes that serve links.", func(w *supervise.WorkerInfo) float64 {
		return truth(w.State == supervise.Ready)
	})
	c.count("skein_worker_restarts_total", "Worker processes started in place of others.", func(w *supervise.WorkerInfo) float64 { return float64(w.Restarts) })
	return c
}

// nodeCollector exports what every process has, whatever its roles.
func (n *Node) nodeCollector() prometheus.Collector {
	c := &collector[nodeSample]{samples: func() []nodeSample { return []nodeSample{n.sampleNode()} }}
	c.gauge("skein_build_info", "1, with the version of the program and the role of the process.",
		func(*nodeSample) float64 { return 1 }, "version", n.opts.Version, "role", n.opts.Role.String())
	c.gauge("skein_healthy", "1 while every slot is served and the store takes writes; in a gateway, while it reaches its mailbox.", func(s *nodeSample) float64 { return truth(s.healthy) })
	c.gauge("skein_ready", "1 while clients should be sent here.", func(s *nodeSample) float64 { return truth(s.ready) })
	c.countEach("skein_bearer_failures_total", "Requests with a wrong bearer token, or none where one is needed.", "listener", listenerNames[:], func(s *nodeSample) []uint64 { return s.bearer.failed[:] })
	c.countEach("skein_bearer_refused_total", "Requests refused unseen because too many before them, from the same address, had a wrong bearer token.", "listener", listenerNames[:], func(s *nodeSample) []uint64 { return s.bearer.refused[:] })
	if n.front == nil {
		addProcess(c, func(s *nodeSample) *processSample { return &s.process })
	}
	return c
}

// nodeSample is what a node says of itself at one scrape.
type nodeSample struct {
	healthy, ready bool
	bearer         bearerStats
	// process is of a process without links; see frontSample.
	process processSample
}

func (n *Node) sampleNode() nodeSample {
	s := nodeSample{healthy: n.Health() == nil, ready: n.Ready() == nil, bearer: n.bearer.stats()}
	if n.front == nil {
		s.process = sampleProcess()
	}
	return s
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

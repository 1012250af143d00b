package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/supervise"
)

// metric is one exported number, read from a sample of type S.
type metric[S any] struct {
	desc *prometheus.Desc
	typ  prometheus.ValueType
	read func(*S) float64
}

// collector exports the counters that roles keep anyway: at each scrape it
// takes one sample of each process and adds them up.
type collector[S any] struct {
	samples func() []S
	metrics []metric[S]
}

func (c *collector[S]) count(name, help string, read func(*S) float64) {
	c.metrics = append(c.metrics, metric[S]{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, read})
}

func (c *collector[S]) gauge(name, help string, read func(*S) float64) {
	c.metrics = append(c.metrics, metric[S]{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, read})
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
		sum := 0.0
		for i := range samples {
			sum += m.read(&samples[i])
		}
		ch <- prometheus.MustNewConstMetric(m.desc, m.typ, sum)
	}
}

// collectors are those of the roles that the node has.
func (n *Node) collectors() []prometheus.Collector {
	all := []prometheus.Collector{n.healthCollector()}
	if n.back != nil {
		all = append(all, n.backCollector())
	}
	if n.shared != nil {
		all = append(all, n.sharedCollector())
	}
	if n.front != nil {
		all = append(all, n.frontCollector())
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
		if w.State == supervise.Ready {
			return 1
		}
		return 0
	})
	c.count("skein_worker_restarts_total", "Worker processes started in place of others.", func(w *supervise.WorkerInfo) float64 { return float64(w.Restarts) })
	return c
}

func (n *Node) healthCollector() prometheus.Collector {
	c := &collector[float64]{samples: func() []float64 {
		if n.Health() != nil {
			return []float64{0}
		}
		return []float64{1}
	}}
	c.gauge("skein_healthy", "1 while every slot is served and the store takes writes; in a gateway, while it reaches its mailbox.", func(s *float64) float64 { return *s })
	return c
}

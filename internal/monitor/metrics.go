package monitor

import "github.com/prometheus/client_golang/prometheus"

// Collector exports what a Monitor says of itself.
func (m *Monitor) Collector() prometheus.Collector { return collector{m} }

type collector struct{ m *Monitor }

// own are the Monitor's own metrics.
var own = []struct {
	name, help string
	counts     bool
	read       func(*State) float64
}{
	{metricMonitorTargets, "Processes that the monitor collects from.", false, func(s *State) float64 { return float64(len(s.Nodes)) }},
	{"skein_monitor_targets_up", "Processes that answer the monitor.", false, func(s *State) float64 {
		up := 0.0
		for _, n := range s.Nodes {
			up += n.Values[seriesUp]
		}
		return up
	}},
	{"skein_monitor_targets_left_out", "Processes beyond the number that a monitor collects from.", false, func(s *State) float64 { return float64(s.Monitor.TargetsLeft) }},
	{"skein_monitor_pulls_late_total", "Pulls left out because the one before was not over.", true, func(s *State) float64 { return float64(s.Monitor.LatePulls) }},
	{"skein_monitor_series", "Series kept.", false, func(s *State) float64 { return float64(s.Monitor.Series.Series) }},
	{"skein_monitor_series_bound", "How many series can be kept.", false, func(s *State) float64 { return float64(s.Monitor.Series.Bound) }},
	{"skein_monitor_values_refused_total", "Values not kept, because there were too many series.", true, func(s *State) float64 { return float64(s.Monitor.Refused + s.Monitor.Series.Refused) }},
	{"skein_monitor_alerts_firing", "Alerts that fire.", false, func(s *State) float64 { return float64(len(s.Alerts)) }},
	{"skein_monitor_alerts_dropped_total", "Alerts not raised, because there were too many.", true, func(s *State) float64 { return float64(s.Monitor.AlertsDropped) }},
	{"skein_monitor_log_bytes_total", "Bytes of samples written to logs.", true, func(s *State) float64 { return float64(s.Monitor.LogBytes) }},
	{"skein_monitor_log_lost_total", "Seconds of samples that could not be logged.", true, func(s *State) float64 { return float64(s.Monitor.LogLost) }},
	{"skein_monitor_webhook_delivered_total", "Messages that the webhook took.", true, func(s *State) float64 { return float64(s.Monitor.Webhook.Delivered) }},
	{"skein_monitor_webhook_failed_total", "Messages that the webhook did not take after several tries, or for which there was no room in its queue.", true, func(s *State) float64 { return float64(s.Monitor.Webhook.Failed + s.Monitor.Webhook.Dropped) }},
	{"skein_monitor_clock_jumps_total", "How often the system's clock has jumped.", true, func(s *State) float64 { return float64(s.Monitor.Jumps) }},
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, o := range own {
		ch <- prometheus.NewDesc(o.name, o.help, nil, nil)
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.m.State()
	for _, o := range own {
		typ := prometheus.GaugeValue
		if o.counts {
			typ = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(o.name, o.help, nil, nil), typ, o.read(s))
	}
}

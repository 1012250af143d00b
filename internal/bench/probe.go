package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Probe is what has been counted on the servers' side at one moment.
type Probe struct {
	// CPU is processor time by role.
	CPU map[string]time.Duration
	// Counters are metrics, summed over processes and labels.
	Counters map[string]float64
}

// since is what was counted after an earlier probe.
func (p Probe) since(earlier Probe) Probe {
	d := Probe{CPU: map[string]time.Duration{}, Counters: map[string]float64{}}
	for role, cpu := range p.CPU {
		d.CPU[role] = max(0, cpu-earlier.CPU[role])
	}
	for name, n := range p.Counters {
		d.Counters[name] = max(0, n-earlier.Counters[name])
	}
	return d
}

// scrape adds up some metrics of a process.
func scrape(ctx context.Context, hc *http.Client, ops string, names []string, into map[string]float64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ops+"/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the metrics of %s: %s", ops, resp.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return fmt.Errorf("the metrics of %s: %w", ops, err)
	}
	for _, name := range names {
		for _, m := range families[name].GetMetric() {
			into[name] += valueOf(m)
		}
	}
	return nil
}

// valueOf is a counter's or gauge's value.
func valueOf(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
}

package monitor

import (
	"math"
	"strings"

	"github.com/skein-im/skein/internal/series"
)

// Suffixes of the series that are made of a histogram, before its labels.
const (
	meanSuffix   = ":mean"
	medianSuffix = ":p50"
	tailSuffix   = ":p99"
)

// aggregate is a series of the whole cluster being put together.
type aggregate struct {
	name  string
	merge series.Merge
	sum   float64
	n     int
	hist  []bucket
	// used is the turn in which it had a value last.
	used uint64
}

// aggregates are all of them. They belong to the Monitor's loop.
type aggregates struct {
	byName map[string]*aggregate
	most   int
	turn   uint64
	// refused counts values of series beyond most, or of histograms with
	// bounds other than those of other nodes.
	refused uint64
}

// aggregateLife is after how many turns without a value one is forgotten. It is
// more than what a node that does not answer is remembered for.
const aggregateLife = 600

func (a *aggregates) begin() {
	a.turn++
	for name, g := range a.byName {
		if g.sum, g.n = 0, 0; a.turn-g.used > aggregateLife {
			delete(a.byName, name)
		}
		for i := range g.hist {
			g.hist[i].rate = 0
		}
	}
}

// add merges the values of a node.
func (a *aggregates) add(values map[string]*value) {
	for name, v := range values {
		if !v.known {
			continue
		}
		if v.into == nil {
			if v.into = a.open(name); v.into == nil {
				a.refused++
				continue
			}
		}
		g := v.into
		g.used = a.turn
		if v.hist == nil {
			g.sum = g.merge.Across(g.sum, g.n, v.now)
			g.n++
			continue
		}
		a.addHistogram(g, v)
	}
}

func (a *aggregates) open(name string) *aggregate {
	g := a.byName[name]
	if g == nil && len(a.byName) < a.most {
		g = &aggregate{name: name, merge: mergeOf(name), used: a.turn}
		a.byName[name] = g
	}
	return g
}

func (a *aggregates) addHistogram(g *aggregate, v *value) {
	if g.hist == nil {
		for _, b := range v.hist {
			g.hist = append(g.hist, bucket{bound: b.bound})
		}
	}
	if !sameBounds(g.hist, v.hist) {
		a.refused++
		return
	}
	for i, b := range v.hist {
		g.hist[i].rate += b.rate
	}
	g.n++
}

// each calls f with every series that has a value.
func (a *aggregates) each(f func(name string, merge series.Merge, v float64)) {
	for _, g := range a.byName {
		switch {
		case g.n == 0:
		case g.hist == nil:
			f(g.name, g.merge, g.sum)
		default:
			g.quantiles(a.byName, f)
		}
	}
}

// quantiles makes series of a histogram in which anything was observed.
func (g *aggregate) quantiles(all map[string]*aggregate, f func(name string, merge series.Merge, v float64)) {
	total := g.hist[len(g.hist)-1].rate
	if total <= 0 {
		return
	}
	name, labels, _ := strings.Cut(g.name, "{")
	if labels != "" {
		labels = "{" + labels
	}
	f(name+medianSuffix+labels, series.Max, quantile(g.hist, 0.5))
	f(name+tailSuffix+labels, series.Max, quantile(g.hist, 0.99))
	if sum := all[name+"_sum"+labels]; sum != nil && sum.n > 0 {
		f(name+meanSuffix+labels, series.Max, sum.sum/total)
	}
}

// quantile is the bound below which a share q of the observations is, as nearly
// as buckets tell; what is beyond the last bound counts as that.
func quantile(hist []bucket, q float64) float64 {
	want, below, from := q*hist[len(hist)-1].rate, 0.0, 0.0
	for _, b := range hist {
		if b.rate >= want && b.rate > below {
			if math.IsInf(b.bound, 1) {
				return from
			}
			return from + (b.bound-from)*(want-below)/(b.rate-below)
		}
		below = b.rate
		if !math.IsInf(b.bound, 1) {
			from = b.bound
		}
	}
	return from
}

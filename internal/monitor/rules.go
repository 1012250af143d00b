package monitor

import (
	"cmp"
	"slices"

	"github.com/skein-im/skein/internal/series"
)

// Rule says when something is wrong. It fires for a subject when its measure has
// been at least Fire for For seconds, and is over when it has been at most Clear
// for ClearFor seconds; in between everything stays as it is.
type Rule struct {
	Name string `json:"name"`
	// Help says what the measure is, Unit its unit.
	Help     string  `json:"help"`
	Unit     string  `json:"unit"`
	Fire     float64 `json:"fire"`
	Clear    float64 `json:"clear"`
	For      int64   `json:"for_seconds"`
	ClearFor int64   `json:"clear_for_seconds"`

	// measure gives the number for each subject; no number: nothing is known.
	measure func(v *view) []measured
	of      []selector
}

// measured is the number of a subject: a node, a queue, or "" for the cluster.
type measured struct {
	subject string
	value   float64
	// why is said with an alert, if not empty.
	why string
}

// view is what rules see of a second.
type view struct {
	at    int64
	now   map[string]float64
	nodes []NodeNow
	store *series.Store
}

func cluster(v float64) []measured { return []measured{{value: v}} }

// merged is the sum of what selectors name, or the largest or smallest where
// that is how it is merged; false: there is none.
func (v *view) merged(of ...selector) (total float64, ok bool) {
	n := 0
	for name, x := range v.now {
		if slices.ContainsFunc(of, func(s selector) bool { return s.matches(name) }) {
			total = mergeOf(name).Across(total, n, x)
			n++
		}
	}
	return total, n > 0
}

// Least rates below which a share of faults or a surge says nothing.
const (
	leastRequests = 5.0
	leastSurge    = 100.0
	// surgeHistory is how many seconds a surge is compared with, and
	// surgeNow those of which it is.
	surgeHistory, surgeNow = 3600, 10
)

// answers are the times that clients wait, but for logins, which are paced.
var answers = []selector{metricRequest + tailSuffix + `{op="send"}`, metricRequest + tailSuffix + `{op="call"}`, metricRequest + tailSuffix + `{op="shake"}`}

// Rules are what is watched for, with thresholds.
func Rules() []Rule {
	return []Rule{
		{
			Name: "errors", Help: "share of requests that fail as busy, unavailable or internal", Unit: "ratio",
			Fire: 0.05, Clear: 0.01, For: 10, ClearFor: 30, of: append(slices.Clone(requests), faults...), measure: measureErrors,
		},
		{
			Name: "queue", Help: "share of a queue that is full", Unit: "ratio",
			Fire: 0.5, Clear: 0.25, For: 10, ClearFor: 30, of: []selector{metricQueueLength, metricQueueLimit}, measure: measureQueues,
		},
		{
			Name: "surge", Help: "requests per second of the last ten seconds, compared with the hour before", Unit: "times",
			Fire: 3, Clear: 1.5, For: 10, ClearFor: 60, of: requests, measure: measureSurge,
		},
		{
			Name: "latency", Help: "99th percentile of what sends, calls or shakes take", Unit: "s",
			Fire: 0.5, Clear: 0.25, For: 10, ClearFor: 30, of: answers, measure: measureOf(answers...),
		},
		{
			Name: "availability", Help: "1 when a node does not answer, or does not keep its promises", Unit: "",
			Fire: 1, Clear: 0, For: 5, ClearFor: 10, of: []selector{metricHealthy}, measure: measureAvailability,
		},
		{
			Name: "outbox", Help: "for how long the oldest message waits for its receiver's mailbox", Unit: "s",
			Fire: 30, Clear: 10, For: 10, ClearFor: 30, of: []selector{metricOldest}, measure: measureOf(metricOldest),
		},
		{
			Name: "disk", Help: "share of the file system of a data directory that is full", Unit: "ratio",
			Fire: 0.9, Clear: 0.85, For: 30, ClearFor: 30, of: []selector{metricDiskFree, metricDiskSize}, measure: measureDisk,
		},
		{
			Name: "region", Help: "1 when messages do not reach a region", Unit: "",
			Fire: 1, Clear: 0, For: 30, ClearFor: 30, of: []selector{metricRelayUp, metricUplinkCutOff}, measure: measureRegions,
		},
		{
			Name: "standby", Help: "for how long the oldest commit waits for the region's standby", Unit: "s",
			Fire: 30, Clear: 5, For: 10, ClearFor: 30, of: []selector{metricBehind}, measure: measureOf(metricBehind),
		},
	}
}

// measureOf is the number itself.
func measureOf(of ...selector) func(v *view) []measured {
	return func(v *view) []measured {
		x, ok := v.merged(of...)
		if !ok {
			return nil
		}
		return cluster(x)
	}
}

func measureErrors(v *view) []measured {
	asked, ok := v.now[seriesRequests]
	failed, _ := v.merged(faults...)
	switch {
	case !ok:
		return nil
	case asked < leastRequests:
		return cluster(0)
	}
	return cluster(failed / asked)
}

func measureQueues(v *view) (all []measured) {
	limits := selector(metricQueueLimit)
	for name, limit := range v.now {
		queue := label(name, "queue")
		if !limits.matches(name) || limit <= 0 {
			continue
		}
		if length, ok := v.merged(selector(metricQueueLength + `{queue="` + queue + `"}`)); ok {
			all = append(all, measured{subject: queue, value: length / limit})
		}
	}
	return all
}

func measureSurge(v *view) []measured {
	now, ok := v.store.Window(seriesRequests, v.at-surgeNow, v.at)
	usual, known := v.store.Window(seriesRequests, v.at-surgeHistory, v.at-6*surgeNow)
	switch {
	case !ok || !known:
		return nil
	case now < leastSurge:
		return cluster(0)
	}
	return cluster(now / max(usual, leastSurge/10))
}

func measureAvailability(v *view) []measured {
	all := make([]measured, 0, len(v.nodes))
	for _, n := range v.nodes {
		m := measured{subject: n.Name, why: n.Error}
		healthy, known := n.Values["healthy"]
		switch {
		case !n.Up:
			m.value = 1
		case known && healthy == 0:
			m.value, m.why = 1, cmp.Or(m.why, "it says that it is not healthy; see its /healthz")
		}
		all = append(all, m)
	}
	return all
}

// measureRegions: of several relays one that is connected is enough. Mailbox nodes
// do not say which regions they miss; that counts where no relay has said it.
func measureRegions(v *view) (all []measured) {
	relays := selector(metricRelayUp)
	for name, up := range v.now {
		if relays.matches(name) {
			m := measured{subject: label(name, "region")}
			if up == 0 {
				m.value, m.why = 1, "no relay is connected with it; 'skein region status' says why"
			}
			all = append(all, m)
		}
	}
	if cut, ok := v.merged(metricUplinkCutOff); ok {
		m := measured{}
		if cut > 0 && !slices.ContainsFunc(all, func(m measured) bool { return m.value > 0 }) {
			m.value, m.why = 1, "mailbox nodes know regions that none of their relays is connected with"
		}
		all = append(all, m)
	}
	return all
}

func measureDisk(v *view) (all []measured) {
	for _, n := range v.nodes {
		free, ok := n.Values["disk_free"]
		if size := n.Values["disk_size"]; ok && size > 0 {
			all = append(all, measured{subject: n.Name, value: 1 - free/size})
		}
	}
	return all
}

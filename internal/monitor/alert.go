package monitor

import (
	"cmp"
	"slices"
)

// maxAlerts bounds the alerts that fire or are about to; what is beyond it is
// counted.
const maxAlerts = 1024

// forgetAfter is after how many seconds without a measure an alert is over.
const forgetAfter = 600

// Alert is what is wrong.
type Alert struct {
	Rule string `json:"rule"`
	// Subject is a node, or empty for the cluster.
	Subject string  `json:"subject,omitempty"`
	Value   float64 `json:"value"`
	Why     string  `json:"why,omitempty"`
	// Since is when it began to fire, in Unix seconds.
	Since int64 `json:"since"`
	// Firing is false in a Change that says it is over.
	Firing bool `json:"firing"`
}

type alertKey struct{ rule, subject string }

// watched is a subject for which a rule's measure is not, or was not, good.
type watched struct {
	Alert
	// turned is when the measure went beyond the threshold that would change
	// the state; 0: it is not beyond it.
	turned int64
	seen   int64
}

// alerts evaluates rules. It belongs to the Monitor's loop.
type alerts struct {
	rules   []Rule
	state   map[alertKey]*watched
	dropped uint64
}

func newAlerts(rules []Rule) *alerts {
	return &alerts{rules: rules, state: map[alertKey]*watched{}}
}

// evaluate measures a second.
func (a *alerts) evaluate(v *view) {
	for i := range a.rules {
		for _, m := range a.rules[i].measure(v) {
			a.see(&a.rules[i], m, v.at)
		}
	}
	for key, w := range a.state {
		if v.at-w.seen > forgetAfter {
			delete(a.state, key)
		}
	}
}

// see takes a measure.
func (a *alerts) see(r *Rule, m measured, at int64) {
	key := alertKey{r.Name, m.subject}
	w := a.state[key]
	switch {
	case w == nil && m.value < r.Fire:
		return
	case w == nil && len(a.state) >= maxAlerts:
		a.dropped++
		return
	case w == nil:
		w = &watched{Alert: Alert{Rule: r.Name, Subject: m.subject}}
		a.state[key] = w
	}
	w.seen, w.Value = at, m.value
	if m.why != "" {
		w.Why = m.why
	}
	turning, wait := m.value >= r.Fire, r.For
	if w.Firing {
		turning, wait = m.value <= r.Clear, r.ClearFor
	}
	switch {
	case turning && w.turned == 0:
		w.turned = at
	case !turning:
		w.turned = 0
	}
	switch {
	case turning && at-w.turned >= wait && !w.Firing:
		w.Firing, w.Since, w.turned = true, at, 0
	case turning && at-w.turned >= wait, !w.Firing && m.value <= r.Clear:
		delete(a.state, key)
	}
}

// firing are the alerts that fire, sorted.
func (a *alerts) firing() []Alert {
	all := []Alert{}
	for _, w := range a.state {
		if w.Firing {
			all = append(all, w.Alert)
		}
	}
	slices.SortFunc(all, compareAlerts)
	return all
}

// adopt takes over what another Monitor has found to be wrong.
func (a *alerts) adopt(found []Alert, at int64) {
	for _, f := range found[:min(len(found), maxAlerts)] {
		if slices.ContainsFunc(a.rules, func(r Rule) bool { return r.Name == f.Rule }) {
			a.state[alertKey{f.Rule, f.Subject}] = &watched{Alert: f, seen: at}
		}
	}
}

// difference is what has to be told to somebody who knows before.
func difference(before, now []Alert) (changes []Alert) {
	has := func(list []Alert, x Alert) bool {
		return slices.ContainsFunc(list, func(y Alert) bool { return x.Rule == y.Rule && x.Subject == y.Subject })
	}
	for _, x := range now {
		if !has(before, x) {
			changes = append(changes, x)
		}
	}
	for _, x := range before {
		if !has(now, x) {
			x.Firing = false
			changes = append(changes, x)
		}
	}
	return changes
}

func compareAlerts(a, b Alert) int {
	return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Subject, b.Subject))
}

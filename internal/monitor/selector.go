package monitor

import "strings"

// selector names series: NAME{label="value",...} stands for all of a metric that
// have these labels, whichever others they have.
type selector string

// matches reports whether a series is meant.
func (s selector) matches(name string) bool {
	want, labels, _ := strings.Cut(string(s), "{")
	have, theirs, _ := strings.Cut(name, "{")
	if want != have {
		return false
	}
	for labels = strings.TrimSuffix(labels, "}"); labels != ""; {
		var one string
		one, labels, _ = strings.Cut(labels, ",")
		if !hasLabel(theirs, one) {
			return false
		}
	}
	return true
}

// hasLabel reports whether labels, as they are written in a name, have one. No
// value has a quotation mark in it: see plain.
func hasLabel(labels, one string) bool {
	i := strings.Index(labels, one)
	if i < 0 {
		return false
	}
	return i == 0 || labels[i-1] == ','
}

// family is a series' name without labels.
func family(name string) string {
	name, _, _ = strings.Cut(name, "{")
	return name
}

// label is the value of a label in a series' name; empty: it has none.
func label(name, label string) string {
	_, labels, _ := strings.Cut(name, "{")
	for labels != "" {
		var one string
		one, labels, _ = strings.Cut(strings.TrimSuffix(labels, "}"), ",")
		if v, ok := strings.CutPrefix(one, label+`="`); ok {
			return strings.TrimSuffix(v, `"`)
		}
	}
	return ""
}

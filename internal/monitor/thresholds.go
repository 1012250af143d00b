package monitor

import (
	"math"
	"strconv"
	"strings"

	"github.com/skein-im/skein/internal/im"
)

// Thresholds are from where on rules fire, by their names, where that is not what
// Rules says; off: never.
type Thresholds map[string]float64

var off = math.Inf(1)

// ParseThresholds reads them as an operator writes them: "latency=0.2,surge=off".
func ParseThresholds(text string) (Thresholds, error) {
	t := Thresholds{}
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		name, value, _ := strings.Cut(one, "=")
		r, names := ruleNamed(name)
		if r == nil {
			return nil, im.Errorf(im.Invalid, "there is no alert %q; there are: %s", name, names)
		}
		if value == "off" {
			t[name] = off
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil || !(v > 0) || math.IsInf(v, 0) || r.Unit == "ratio" && v > 1:
			return nil, im.Errorf(im.Invalid, "alert %s: %q is not %s; write %s=%g, or %s=off", name, value, r.takes(), name, r.Fire, name)
		case r.Unit == "":
			return nil, im.Errorf(im.Invalid, "alert %s is or is not; it can only be turned off, with %s=off", name, name)
		}
		t[name] = v
	}
	return t, nil
}

func ruleNamed(name string) (found *Rule, names string) {
	for _, r := range Rules() {
		if r.Name == name {
			found = &r
		}
		names += " " + r.Name
	}
	return found, names[1:]
}

// takes says what a threshold of the rule is, in words.
func (r *Rule) takes() string {
	switch r.Unit {
	case "ratio":
		return "a share between 0 and 1"
	case "s":
		return "a number of seconds"
	}
	return "a number"
}

// over are rules with these thresholds. How far a measure has to fall until an
// alert is over stays in proportion.
func (t Thresholds) over(rules []Rule) (changed []Rule) {
	for _, r := range rules {
		fire, set := t[r.Name]
		if fire == off {
			continue
		}
		if set {
			r.Fire, r.Clear = fire, r.Clear*fire/r.Fire
		}
		changed = append(changed, r)
	}
	return changed
}

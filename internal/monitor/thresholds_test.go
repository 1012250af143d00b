package monitor

import (
	"strings"
	"testing"
	"testing/synctest"
)

func TestParseThresholds(t *testing.T) {
	got, err := ParseThresholds(" latency=0.2, disk=0.95,surge=off,")
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	rules := map[string]Rule{}
	for _, r := range got.over(Rules()) {
		rules[r.Name] = r
	}
	if _, there := rules["surge"]; there || len(rules) != len(Rules())-1 {
		t.Errorf("of %d rules there are %d", len(Rules()), len(rules))
	}
	if r := rules["latency"]; r.Fire != 0.2 || r.Clear != 0.1 {
		t.Errorf("%+v", r)
	}
	if r := rules["errors"]; r.Fire != 0.05 || r.Clear != 0.01 {
		t.Errorf("%+v", r)
	}
	if none, err := ParseThresholds(""); err != nil || len(none) != 0 {
		t.Error(none, err)
	}
}

func TestParseThresholdsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"delay=1": "there are: errors queue", "latency": "latency=0.5, or latency=off", "latency=0": "a number of seconds",
		"latency=-1": "seconds", "disk=90": "between 0 and 1", "latency=NaN": "seconds", "surge=inf": "a number", "latency=1s": "seconds",
		"availability=1": "only be turned off", "=1": `no alert ""`,
	} {
		if _, err := ParseThresholds(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What an operator has set holds, and is what the rules are said to be.
func TestThresholdsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mailbox, its := process("mailbox", "", metricBehind, metricUplinkCutOff)
		its[metricBehind].Set(8)
		its[metricUplinkCutOff].Set(1)
		m := start(t, Config{Targets: Static{mailbox}, Thresholds: Thresholds{"standby": 6, "region": off}})
		defer stop(t, m)
		seconds(60)
		if a := m.State().Alerts; len(a) != 1 || a[0].Rule != "standby" {
			t.Errorf("%+v", a)
		}
		its[metricBehind].Set(2)
		seconds(60)
		if a := m.State().Alerts; len(a) != 1 {
			t.Errorf("it is over between the thresholds: %+v", a)
		}
		its[metricBehind].Set(0.9)
		seconds(60)
		if a := m.State().Alerts; len(a) != 0 {
			t.Errorf("%+v", a)
		}
	})
}

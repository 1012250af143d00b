package capacity

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func plan(t *testing.T, load Load) *Plan {
	t.Helper()
	p, err := New(load, DefaultMachine(), Measured())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestDocumented holds the table of docs/SCALING.md against the model.
func TestDocumented(t *testing.T) {
	var plans []*Plan
	for _, millions := range []float64{1, 10, 100, 1000} {
		plans = append(plans, plan(t, DefaultLoad(millions*1e6)))
	}
	var table bytes.Buffer
	WriteTable(&table, plans)
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "SCALING.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), table.String()) {
		t.Fatalf("docs/SCALING.md lacks this table:\n%s", &table)
	}
}

// TestMore: more of anything never asks for fewer machines.
func TestMore(t *testing.T) {
	base := DefaultLoad(5e6)
	for name, more := range map[string]func(*Load){
		"users": func(l *Load) { l.Users *= 3 }, "messages": func(l *Load) { l.Messages *= 3 }, "peak": func(l *Load) { l.Peak *= 3 },
		"shakes": func(l *Load) { l.Shakes *= 3 }, "retention": func(l *Load) { l.Retention *= 3 }, "return": func(l *Load) { l.Return /= 3 },
	} {
		few, l := plan(t, base), base
		more(&l)
		many, grown := plan(t, l), false
		for i := range few.Needs {
			if many.Needs[i].Machines < few.Needs[i].Machines {
				t.Errorf("more %s: %+v instead of %+v", name, many.Needs[i], few.Needs[i])
			}
			grown = grown || many.Needs[i].Machines > few.Needs[i].Machines || many.Needs[i].Busy > few.Needs[i].Busy
			if busy := many.Needs[i].Busy; busy > DefaultMachine().Busy {
				t.Errorf("more %s: %s is %.2f busy", name, many.Needs[i].Role, busy)
			}
		}
		if !grown {
			t.Errorf("more %s needs nothing more", name)
		}
	}
}

func TestWait(t *testing.T) {
	if w := wait99(time.Millisecond, 0); w < 4600*time.Microsecond || w > 4610*time.Microsecond {
		t.Errorf("alone, 99 of 100 take %v", w)
	}
	if wait99(time.Millisecond, 0.5) != 2*wait99(time.Millisecond, 0) && wait99(time.Millisecond, 1) < time.Hour {
		t.Error("waits do not grow with what is busy")
	}
}

func TestRefused(t *testing.T) {
	for _, l := range []Load{{}, DefaultLoad(0), DefaultLoad(1e12)} {
		if _, err := New(l, DefaultMachine(), Measured()); err == nil {
			t.Errorf("%+v was planned", l)
		}
	}
}

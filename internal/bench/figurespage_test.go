package bench

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/report"
)

// cell is a figure in a page's tables: of a row, in the last column.
func cell(p *report.Page, name string) string {
	for _, t := range p.Tables {
		for _, r := range t.Rows {
			if r[0] == name {
				return strings.Join(r[1:], "|")
			}
		}
	}
	return "none"
}

func figuresOf(t *testing.T, result any) *report.Page {
	t.Helper()
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	p, err := FiguresPage("a run", text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every kind of result becomes a page with what it says.
func TestFiguresPage(t *testing.T) {
	env := Environment{Version: "v7", CPUs: 2, System: "linux/amd64"}
	chat := &ChatResult{Good: true, Environment: env, Tally: Tally{Sent: 150_000}, AckMS: Percentiles{P99: 5.7}, Config: ChatConfig{Users: 1000}}
	p := figuresOf(t, chat)
	for name, want := range map[string]string{"sent": "150,000", "ack ms, p99": "5.7", "users": "1,000", "good": "none", "environment, version": "none"} {
		if got := cell(p, name); got != want {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
	if p.Bad || p.Title != "a run" || !strings.Contains(p.Footer, "v7") {
		t.Errorf("%+v", p)
	}
	scale := figuresOf(t, &ScaleResult{Environment: env, Runs: []ScaleRun{
		{Nodes: 1, ServerCPU: 50, CPU: map[string]float64{"mailbox": 40}}, {Nodes: 2, ServerCPU: 52, CPU: map[string]float64{"gateway": 9}},
	}})
	for name, want := range map[string]string{
		"nodes": "1|2", "server cpu us per msg": "50|52", "cpu us per msg by role, mailbox": "40|", "cpu us per msg by role, gateway": "|9",
	} {
		if got := cell(scale, name); got != want {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
	if !scale.Bad || !slices.Equal(scale.Tables[1].Head, []string{"a run: runs", "1", "2"}) {
		t.Errorf("%+v", scale)
	}
	for _, result := range []any{
		&ConnectResult{Environment: env}, &OverloadResult{Environment: env}, &StoreResult{Environment: env},
		map[string]any{"chat": chat, "store": &StoreResult{Environment: env, Good: false}},
	} {
		if p := figuresOf(t, result); !p.Bad || len(p.Tables) == 0 {
			t.Errorf("%T: %+v", result, p)
		}
	}
}

func TestFiguresPageRefuses(t *testing.T) {
	for _, text := range []string{
		"", "{", "[]", "7", "{}", `{"good": true}`, `{"environment": {}}`, `{"good": 1, "environment": {}}`, strings.Repeat("[", 1<<20),
		`{"good":true,"environment":{}} {}`, `{"chat": null, "store": {}}`,
	} {
		if p, err := FiguresPage("", []byte(text)); err == nil {
			t.Errorf("%.40s: %+v", text, p)
		}
	}
}

func FuzzFiguresPage(f *testing.F) {
	f.Add([]byte(`{"good":true,"environment":{"cpus":2},"steps":[{"a":1},{"b":[1,"x"]}],"config":{"c":{"d":null}}}`))
	f.Add([]byte(`{"chat":{"good":true,"environment":{}},"store":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := FiguresPage("fuzz", text)
		if err != nil {
			return
		}
		for _, table := range p.Tables {
			for _, r := range table.Rows {
				if len(r) != len(table.Head) {
					t.Fatalf("a row of %d cells under %d", len(r), len(table.Head))
				}
			}
		}
	})
}

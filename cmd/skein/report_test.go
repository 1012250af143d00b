package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/samplelog"
)

func TestReportCommand(t *testing.T) {
	dir := t.TempDir()
	logs := filepath.Join(dir, "logs")
	w, err := samplelog.Open(samplelog.Config{Dir: logs})
	if err != nil {
		t.Fatal(err)
	}
	for at := range int64(20) {
		if err := w.Append(1_790_000_000+at, []samplelog.Sample{{Name: "requests", Merge: "sum", Value: 7}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) error {
		cmd := newReportCommand()
		cmd.SetArgs(args)
		cmd.SetOut(&bytes.Buffer{})
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		return cmd.Execute()
	}
	page, pictures := filepath.Join(dir, "r.html"), filepath.Join(dir, "png")
	if err := run("--out", page, "--png", pictures, logs); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(text), "Client and server QPS") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(pictures, "01-client-and-server-qps.png")); err != nil {
		t.Error(err)
	}
	bad := filepath.Join(dir, "x.json")
	_ = os.WriteFile(bad, []byte("{}"), 0o600)
	for _, arg := range []string{bad, filepath.Join(dir, "none"), page} {
		if err := run("--out", filepath.Join(dir, "no.html"), arg); err == nil {
			t.Errorf("%s: no error", arg)
		}
	}
}

// FuzzResult makes a report of whatever is in a file that is said to be a result.
func FuzzResult(f *testing.F) {
	f.Add([]byte(`{"good":true,"conns":1000000,"won":40000,"rounds":[{"shakes":{"offered_qps":30000,"seconds":2,"per_second":[{"sent":1,"answered":1}]}}]}`))
	f.Add([]byte(`{"rounds":[{"envelopes":{"offered_qps":1e308,"seconds":-1e308,"latency_ms":{"p50":-1}}},{}],"problems":["<b>"]}`))
	f.Add([]byte(`{"rounds":[null]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "r.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := readResult(path); err == nil {
			if err := p.Write(io.Discard); err != nil {
				t.Fatal(err)
			}
		}
	})
}

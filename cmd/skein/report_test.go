package main

import (
	"bytes"
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

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skein-im/skein/internal/doctor"
)

// runDoctor runs the command on this machine; where its addresses and its data
// directory are to be is the test's.
func runDoctor(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newDoctorCommand()
	cmd.SetArgs(append([]string{"--data", filepath.Join(t.TempDir(), "data"), "--max-conns", "100",
		"--http", "127.0.0.1:0", "--link", "127.0.0.1:0", "--ops", "127.0.0.1:0"}, args...))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestDoctorJSON(t *testing.T) {
	out, err := runDoctor(t, "--json")
	var report doctor.Report
	if jsonErr := json.Unmarshal([]byte(out), &report); jsonErr != nil {
		t.Fatalf("%v\n%s", jsonErr, out)
	}
	var code exitCode
	if report.OK != (err == nil) || err != nil && (!errors.As(err, &code) || code != 1) {
		t.Errorf("ok is %v, the error %v", report.OK, err)
	}
	if report.MaxConns != 100 || report.Workers < 1 {
		t.Errorf("%+v", report)
	}
	var names []string
	for _, f := range report.Findings {
		if !slices.Contains(names, f.Check) {
			names = append(names, f.Check)
		}
	}
	if !slices.Equal(names, doctor.Names()) {
		t.Errorf("found %q", names)
	}
}

func TestDoctorFailsWithoutWords(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	out, err := runDoctor(t, "--link", ln.Addr().String())
	var code exitCode
	if !errors.As(err, &code) || code != 1 || !strings.Contains(out, "FAIL     listen              --link "+ln.Addr().String()+" is in use") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDoctorRefusesSettingsThatCannotWork(t *testing.T) {
	if out, err := runDoctor(t, "--max-conns", "-1"); err == nil || out != "" {
		t.Errorf("%v, %q", err, out)
	}
}

// TestOperationsNamesFlagsThatExist: what the document tells people to type.
func TestOperationsNamesFlagsThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"--system": true} // of sysctl
	var add func(*cobra.Command)
	add = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known["--"+f.Name] = true })
		for _, sub := range cmd.Commands() {
			known["skein "+sub.Name()] = true
			add(sub)
		}
	}
	add(newRootCommand())
	for _, name := range regexp.MustCompile("--[a-z][a-z-]*|skein (serve|mailbox|gateway|drain|doctor|[a-z]+ -)").FindAllString(string(text), -1) {
		if !known[strings.TrimSuffix(name, " -")] {
			t.Errorf("there is no %s", name)
		}
	}
}

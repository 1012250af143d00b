package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

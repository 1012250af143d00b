package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/bench"
)

func runBench(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newBenchCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestBenchChatAgainstARunningServer(t *testing.T) {
	addrs := startServer(t)
	file := filepath.Join(t.TempDir(), "result.json")
	out, err := runBench(t, "chat", "--users", "10", "--friends", "2", "--messages", "3", "--with-store",
		"--addr", "tcp://"+addrs.Link, "--http", "http://"+addrs.HTTP,
		"--operator-token-file", filepath.Join(addrs.Data, "operator.token"), "--json", file)
	if err != nil || strings.Count(out, "once and in order") != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var both bench.Comparison
	if err := json.Unmarshal(b, &both); err != nil || !both.Chat.Good || !both.Store.Good || both.Ratio <= 0 {
		t.Errorf("%v: %s", err, b)
	}
	for _, key := range []string{"sent", "acked", "delivered", "lost", "duplicated", "reordered", "seconds", "msgs_per_sec",
		"ack_ms", "deliver_ms", "client_cpu_us_per_msg", "server_cpu_us_per_msg", "server_rss_bytes", "p999"} {
		if !bytes.Contains(b, []byte(`"`+key+`"`)) {
			t.Errorf("no %s in the result", key)
		}
	}
}

func TestBenchStoreCommand(t *testing.T) {
	out, err := runBench(t, "store", "--messages", "300", "--users", "10", "--friends", "2", "--data", t.TempDir(), "--json", "-")
	var res bench.StoreResult
	if err != nil || json.Unmarshal([]byte(out), &res) != nil || !res.Good {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestBenchDatasetCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "friends.txt")
	if out, err := runBench(t, "dataset", "--users", "10", "--friends", "2", "--out", file); err != nil || out != "" {
		t.Fatalf("%v, %q", err, out)
	}
	toFile, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out, err := runBench(t, "dataset", "--users", "10", "--friends", "2")
	if err != nil || out != string(toFile) || strings.Count(out, "\n") != 20 {
		t.Errorf("%v, %q and %q", err, out, toFile)
	}
	if out, err := runBench(t, "dataset", "--users", "3", "--friends", "1", "--format", "json"); err != nil || !json.Valid([]byte(out)) {
		t.Errorf("%v, %q", err, out)
	}
	if _, err := runBench(t, "dataset", "--format", "xml"); err == nil {
		t.Error("XML")
	}
}

func TestBenchFlagsThatCannotWork(t *testing.T) {
	for _, args := range [][]string{
		{"chat", "--addr", "tcp://h:1"},
		{"chat", "--transport", "udp"},
		{"chat", "--operator-token-file", "/no/such/file"},
		{"store", "--batch", "0"},
		{"dataset", "--users", "1"},
		{"connect", "--conns", "1"},
		{"connect", "--conns", "1000000000"},
		{"connect", "--conns", "200000000", "--check"},
		{"connect", "--hold", "-1s"},
		{"connect", "--rate", "-5"},
		{"connect", "--rate", "5", "--requests-for", "1ms"},
		{"connect", "--login-window", "0"},
		{"connect", "--heartbeat", "1ms"},
		{"connect", "--push-timeout", "0s"},
		{"connect", "--answer-timeout", "0s"},
		{"connect", "--addr", "tcp://127.0.0.1:1"},
		{"connect", "--addr", "tcp://127.0.0.1:1", "--http", "http://127.0.0.1:1"},
		{"connect", "--operator-token-file", "/no/such/file"},
		{"connect", "--ca-file", "/no/such/file"},
		{"overload", "--what", "nothing"},
		{"overload", "--conns", "11"},
		{"overload", "--body", "1"},
		{"overload", "--window", "0"},
		{"overload", "--factors", "0"},
		{"overload", "--capacity", "-1"},
		{"overload", "--seconds", "1ms"},
		{"envelopes", "--conns", "3"},
		{"envelopes", "--qps", "0"},
		{"envelopes", "--qps", "NaN"},
		{"envelopes", "--second-qps", "-1"},
		{"envelopes", "--rounds", "3"},
		{"envelopes", "--issue", "-1"},
		{"envelopes", "--issue", "0", "--send", "0"},
		{"envelopes", "--issue-rate", "0"},
		{"envelopes", "--send-rate", "0"},
		{"envelopes", "--senders", "0"},
		{"envelopes", "--cents", "0"},
		{"envelopes", "--tail", "-1s"},
		{"swarm", "more"},
	} {
		if _, err := runBench(t, args...); err == nil {
			t.Errorf("%q works", args)
		}
	}
}

func TestBenchConnectCheck(t *testing.T) {
	if out, err := runBench(t, "connect", "--conns", "100", "--check"); err != nil || out != "" {
		t.Errorf("%v, %q", err, out)
	}
}

// A process of the load generator that is told nothing sensible says so.
func TestBenchSwarmWantsAJob(t *testing.T) {
	for _, job := range []string{"", "x", `{"members":0}`, `{"members":1,"total":1,"target":"nowhere"}`} {
		var out bytes.Buffer
		cmd := newBenchSwarmCommand()
		cmd.SetArgs(nil)
		cmd.SetIn(strings.NewReader(job))
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		if err := cmd.ExecuteContext(t.Context()); err == nil {
			t.Errorf("%q is a job: %s", job, &out)
		}
	}
}

func TestBenchCommandsHaveExamples(t *testing.T) {
	for _, cmd := range newBenchCommand().Commands() {
		if !cmd.Hidden && (cmd.Example == "" || cmd.Long == "") && cmd.Name() != "dataset" {
			t.Errorf("bench %s has no example or description", cmd.Name())
		}
	}
}

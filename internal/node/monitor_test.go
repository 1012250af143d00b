package node

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/monitor"
)

// What rules, charts and the list of nodes are made of is exported, here or by those
// roles of which the reference, which is held to all of them, says so.
func TestMetricsOfTheMonitorExist(t *testing.T) {
	reference, err := os.ReadFile("../../docs/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, testConfig(t))
	_, text := fetch(t, http.DefaultClient, "http://"+n.Addresses().Ops+"/metrics", "")
	for _, want := range monitor.Metrics() {
		name, labels, _ := strings.Cut(want, "{")
		if !strings.Contains(text, "# TYPE "+name+" ") {
			if !strings.Contains(string(reference), "| `"+name+"` |") || labels != "" {
				t.Errorf("%s is not exported", name)
			}
			continue
		}
		for _, l := range strings.Split(strings.TrimSuffix(labels, "}"), ",") {
			if !strings.Contains(text, l) {
				t.Errorf("%s has no label %s", name, l)
			}
		}
	}
}

func TestMonitorRole(t *testing.T) {
	watched := startNode(t, testConfig(t))
	cfg := testConfig(t)
	cfg.MonitorTargets = watched.Addresses().Ops
	n, err := Start(context.Background(), cfg, Options{Role: Monitor, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for up := 0; up < 2; {
		up = 0
		for _, one := range n.monitor.State().Nodes {
			if one.Up {
				up++
			}
		}
	}
	if status, _ := fetch(t, http.DefaultClient, "http://"+n.Addresses().Ops+"/healthz", ""); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
	cfg.MonitorTargets = ""
	if _, err := Start(context.Background(), cfg, Options{Role: Monitor, Logger: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("it starts without anything to watch")
	}
}

func TestMonitorPagesAskForTheToken(t *testing.T) {
	cfg := testConfig(t)
	cfg.Ops = "0.0.0.0:0"
	n := startNode(t, cfg)
	_, port, _ := net.SplitHostPort(n.Addresses().Ops)
	if status, body := fetch(t, http.DefaultClient, "http://127.0.0.1:"+port+"/monitor/state", ""); status != 401 || strings.Contains(body, "nodes") {
		t.Errorf("%d %s", status, body)
	}
	// The dashboard's files hold nothing; it has a field for the token.
	if status, body := fetch(t, http.DefaultClient, "http://127.0.0.1:"+port+"/dashboard/", ""); status != 200 || !strings.Contains(body, "app.js") {
		t.Errorf("dashboard: %d %s", status, body)
	}
}

// Where no token is asked for, nobody else's name for this address will do.
func TestMonitorPagesAreForThisMachine(t *testing.T) {
	n := startNode(t, testConfig(t))
	req, err := http.NewRequest(http.MethodGet, "http://"+n.Addresses().Ops+"/monitor/state", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "rebound.example:7070"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("%d", resp.StatusCode)
	}
	if status, body := fetch(t, http.DefaultClient, "http://"+n.Addresses().Ops+"/talkers", ""); status != 200 || !strings.Contains(body, "total") {
		t.Errorf("talkers: %d %s", status, body)
	}
}

func TestMonitorOff(t *testing.T) {
	cfg := testConfig(t)
	cfg.Monitor = "off"
	n := startNode(t, cfg)
	if status, _ := fetch(t, http.DefaultClient, "http://"+n.Addresses().Ops+"/monitor/state", ""); status != 404 {
		t.Errorf("%d", status)
	}
}

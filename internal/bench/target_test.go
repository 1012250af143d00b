package bench

import (
	"context"
	"strings"
	"testing"
)

func TestTargetsThatRunAlready(t *testing.T) {
	for _, tc := range []struct {
		links []string
		addrs string
		tls   bool
	}{
		{[]string{"tcp://127.0.0.1:7001"}, "127.0.0.1:7001", false},
		{[]string{"tls://127.0.0.1:7001", "tls://[::1]:443"}, "127.0.0.1:7001 [::1]:443", true},
		{[]string{"http://127.0.0.1:7080"}, "", false},
		{[]string{"tcp://127.0.0.1"}, "", false},
		{[]string{"%"}, "", false},
	} {
		cfg := Target{Links: tc.links, HTTP: "http://127.0.0.1:1", OperatorToken: "x"}
		to, err := openTarget(context.Background(), &cfg, 1)
		if (err == nil) != (tc.addrs != "") {
			t.Errorf("%v: %v", tc.links, err)
		}
		if err != nil {
			continue
		}
		var addrs []string
		for _, a := range to.addrs {
			addrs = append(addrs, a.String())
		}
		if strings.Join(addrs, " ") != tc.addrs || to.TLS != tc.tls || to.server != nil || to.restart(t.Context()) != nil {
			t.Errorf("%v: %v, TLS %v", tc.links, addrs, to.TLS)
		}
		if err := to.close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTargetsThatAreHalfKnown(t *testing.T) {
	for _, bad := range []Target{
		{Links: []string{"tcp://h:1"}},
		{HTTP: "http://h:1", OperatorToken: "x"},
		{Links: []string{"tcp://h:1"}, HTTP: "http://h:1"},
	} {
		if bad.validate() == nil {
			t.Errorf("%+v will do", bad)
		}
	}
	if _, err := openTarget(t.Context(), &Target{Program: "/no/such/program"}, 1); err == nil {
		t.Error("a server without a program")
	}
}

func TestPreflight(t *testing.T) {
	if meminfo("MemAvailable") == 0 {
		t.Skip("this system does not tell how much memory is free")
	}
	if err := preflight(10, true, true); err != nil {
		t.Error(err)
	}
	if err := preflight(1<<40, false, true); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("error %v", err)
	}
	if meminfo("Nothing") != 0 {
		t.Error("memory of nothing")
	}
}

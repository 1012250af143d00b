package node

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/account"
)

// Whoever shows wrong tokens is made to wait, on both listeners, and each is
// counted. Addresses without limits are not refused over HTTP.
func TestWrongTokensAreLimited(t *testing.T) {
	cfg := testConfig(t)
	cfg.Ops, cfg.UnlimitedAddrs = "0.0.0.0:0", "10.0.0.0/8"
	n := startNode(t, cfg)
	token, err := os.ReadFile(filepath.Join(cfg.Data, account.OperatorTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	right := string(bytes.TrimSpace(token))
	_, port, _ := net.SplitHostPort(n.Addresses().Ops)
	ops := "http://127.0.0.1:" + port + "/metrics"
	api := "http://" + n.Addresses().HTTP + "/skein.v1.AdminService/Notify"
	ask := func(url, token string) int {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	_, before := fetch(t, http.DefaultClient, ops, right)
	for _, url := range []string{ops, api} {
		status := http.StatusUnauthorized
		for asked := 0; status == http.StatusUnauthorized && asked < 10*account.TokenFailures; asked++ {
			status = ask(url, "wrong")
		}
		if status != http.StatusTooManyRequests {
			t.Errorf("%s: wrong tokens are answered with %d at last", url, status)
		}
	}
	// So many failures that they are not forgiven before the next request, however
	// slow the machine is.
	for range 10 * account.TokenFailures {
		n.bearer[listenerOps].Failed("127.0.0.1:1")
	}
	if status := ask(ops, right); status != http.StatusTooManyRequests {
		t.Errorf("the right token is looked at: %d", status)
	}
	if !strings.Contains(before, `skein_bearer_failures_total{listener="ops"} 0`) {
		t.Errorf("there were failures before")
	}
	if st := n.bearer.stats(); st.failed[listenerOps] < account.TokenFailures || st.failed[listenerHTTP] < account.TokenFailures ||
		st.refused[listenerOps] == 0 || st.refused[listenerHTTP] == 0 {
		t.Errorf("counted: %+v", st)
	}
}

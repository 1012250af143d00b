package node

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/patience"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func testConfig(t *testing.T) config.Config {
	cfg := config.Default()
	cfg.Data = filepath.Join(t.TempDir(), "data")
	cfg.HTTP, cfg.Link, cfg.Ops = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	return cfg
}

func startNode(t *testing.T, cfg config.Config) *Node {
	t.Helper()
	n, err := Start(context.Background(), cfg, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func fetch(t *testing.T, client *http.Client, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestOpsListener(t *testing.T) {
	n := startNode(t, testConfig(t))
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ok", "/metrics": "skein_healthy 1", "/debug/pprof/cmdline": "",
	} {
		if status, body := fetch(t, http.DefaultClient, "http://"+n.Addresses().Ops+path, ""); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.100s", path, status, body)
		}
	}
}

func TestOpsOffLoopbackAsksForTheToken(t *testing.T) {
	cfg := testConfig(t)
	cfg.Ops = "0.0.0.0:0"
	n := startNode(t, cfg)
	_, port, _ := net.SplitHostPort(n.Addresses().Ops)
	url := "http://127.0.0.1:" + port + "/metrics"
	if status, body := fetch(t, http.DefaultClient, url, ""); status != http.StatusUnauthorized || strings.Contains(body, "skein_") {
		t.Fatalf("without a token: %d %s", status, body)
	}
	if status, _ := fetch(t, http.DefaultClient, url, "wrong"); status != http.StatusUnauthorized {
		t.Fatalf("with a wrong token: %d", status)
	}
	token, err := os.ReadFile(filepath.Join(cfg.Data, "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := fetch(t, http.DefaultClient, url, string(bytes.TrimSpace(token))); status != http.StatusOK {
		t.Fatalf("with the operator's token: %d", status)
	}
}

func TestArticleAPIStaysOnLoopback(t *testing.T) {
	cfg := testConfig(t)
	cfg.ArticleAPI = ":0"
	cfg.ArticleData = filepath.Join(t.TempDir(), "friends.txt")
	if err := os.WriteFile(cfg.ArticleData, []byte("1,2,1\n2,1,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, cfg)
	if host, _, _ := net.SplitHostPort(n.Addresses().Article); host != "127.0.0.1" {
		t.Fatalf("without a host it listens on %s", n.Addresses().Article)
	}
	want := `{"SendId":0,"ReceiveId":0,"SendAckId":0,"ClientReceiveId":0,"friends":["2"]}`
	if status, body := fetch(t, http.DefaultClient, "http://"+n.Addresses().Article+"/api/user/1", ""); status != 200 || strings.TrimSpace(body) != want {
		t.Fatalf("counters: %d %s", status, body)
	}
}

func TestArticleAPIIsOffByDefault(t *testing.T) {
	n := startNode(t, testConfig(t))
	if a := n.Addresses().Article; a != "" {
		t.Fatalf("it listens on %s", a)
	}
	if status, _ := fetch(t, http.DefaultClient, "http://"+n.Addresses().HTTP+"/api/user/1", ""); status != http.StatusNotFound {
		t.Fatalf("the HTTP address answers the article's URL with %d", status)
	}
}

// selfSigned writes a certificate for 127.0.0.1 and returns the pool that
// trusts it.
func selfSigned(t *testing.T, cfg *config.Config) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg.TLSCert, cfg.TLSKey = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		cfg.TLSCert: {Type: "CERTIFICATE", Bytes: der},
		cfg.TLSKey:  {Type: "EC PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}

func TestTLSOnHTTPAndLinks(t *testing.T) {
	cfg := testConfig(t)
	pool := selfSigned(t, &cfg)
	n := startNode(t, cfg)
	tlsConfig := &tls.Config{RootCAs: pool}
	transport := &http.Transport{TLSClientConfig: tlsConfig}
	defer transport.CloseIdleConnections()
	if status, _ := fetch(t, &http.Client{Transport: transport}, "https://"+n.Addresses().HTTP+"/openapi.json", ""); status != 200 {
		t.Fatalf("HTTPS: %d", status)
	}
	c, err := tls.Dial("tcp", n.Addresses().Link, tlsConfig)
	if err != nil {
		t.Fatalf("a link over TLS: %v", err)
	}
	c.Close()
}

func TestStartFailsWhole(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, change := range map[string]func(*config.Config){
		"http port":   func(c *config.Config) { c.HTTP = taken.Addr().String() },
		"link port":   func(c *config.Config) { c.Link = taken.Addr().String() },
		"ops port":    func(c *config.Config) { c.Ops = taken.Addr().String() },
		"certificate": func(c *config.Config) { c.TLSCert, c.TLSKey = "/nowhere/a", "/nowhere/b" },
	} {
		cfg := testConfig(t)
		change(&cfg)
		if _, err := Start(context.Background(), cfg, Options{Logger: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("%s: it starts", name)
		}
		// Everything was released: the same directory can be opened.
		again := testConfig(t)
		again.Data = cfg.Data
		startNode(t, again)
	}
}

// A mailbox and a gateway in one directory may be started in any order.
func TestGatewayMayBeFirst(t *testing.T) {
	cfg := testConfig(t)
	socket := "unix:" + filepath.Join(t.TempDir(), "roles")
	cfg.Mailbox = socket
	quiet := slog.New(slog.DiscardHandler)
	g, err := Start(t.Context(), cfg, Options{Role: Gateway, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	cfg.RoleListen = socket
	m, err := Start(t.Context(), cfg, Options{Role: Mailbox, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	// It connects in the background.
	patience.Until(t, "the gateway reaches its mailbox", func() (bool, any) { return g.Health() == nil, g.Health() })
	if err := errors.Join(g.Stop(), m.Stop()); err != nil {
		t.Fatal(err)
	}
}

func TestAddressesArePrinted(t *testing.T) {
	n := startNode(t, testConfig(t))
	a := n.Addresses()
	for name, addr := range map[string]string{"http": a.HTTP, "link": a.Link, "ops": a.Ops} {
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "0" {
			t.Errorf("%s: %s", name, fmt.Sprint(addr, err))
		}
	}
}

package redis

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/skein-im/skein/internal/freeport"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/redis/redistest"
	"github.com/skein-im/skein/internal/store/storetest"
)

// TestTLS: connections are encrypted, and only servers whose certificate is
// right are talked to.
func TestTLS(t *testing.T) {
	single(t)                       // or skip
	h := httptest.NewTLSServer(nil) // for its certificate of 127.0.0.1
	h.Close()
	dir := t.TempDir()
	cert := h.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certFile := file("cert", "CERTIFICATE", cert.Certificate[0])
	addr, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	server(t, append(redistest.Safe(), "--tls-port", port, "--tls-auth-clients", "no",
		"--tls-cert-file", certFile, "--tls-key-file", file("key", "PRIVATE KEY", key), "--tls-ca-cert-file", certFile)...)

	roots := x509.NewCertPool()
	roots.AddCert(h.Certificate())
	opts := Options{Addresses: []string{addr}, Logger: quiet(), TLS: &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}}
	s := mustOpen(t, opts)
	a := im.User(1)
	if err := s.Commit(t.Context(), storetest.One(a, storetest.Acquire(t, s, a), 1, "x")); err != nil {
		t.Fatal(err)
	}
	opts.TLS = &tls.Config{ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	if s, err := Open(t.Context(), opts); err == nil {
		_ = s.Close()
		t.Fatal("an unknown certificate was accepted")
	}
}

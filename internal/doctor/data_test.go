package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDataDirectory(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(dir string) error
		want    Level
		says    string
	}{
		"not there":    {func(string) error { return nil }, OK, "will be made"},
		"private":      {func(dir string) error { return os.Mkdir(dir, 0o700) }, OK, "mode 0700"},
		"public":       {func(dir string) error { return os.Mkdir(dir, 0o755) }, Warn, "mode 0755"},
		"a file":       {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, Fail, "not a directory"},
		"in a file":    {func(dir string) error { return os.WriteFile(filepath.Dir(dir), nil, 0o600) }, Fail, "not a directory"},
		"not writable": {func(dir string) error { return os.Symlink("/proc/1", dir) }, Fail, "but:"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := settings(t)
			if name == "in a file" {
				cfg.Data = filepath.Join(filepath.Dir(cfg.Data), "file", "data")
			}
			if err := c.prepare(cfg.Data); err != nil {
				t.Fatal(err)
			}
			f := found(Examine(machine(healthy()), cfg), "data-directory")[0]
			if f.Level != c.want || !strings.Contains(f.Value, c.says) {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestTheProbesLeaveNothingBehind(t *testing.T) {
	dir := t.TempDir()
	took, err := Local().Sync(dir)
	if err != nil || len(took) == 0 || len(took) > maxSyncs {
		t.Errorf("%v, %v", took, err)
	}
	if f := writable(dir, "here"); f.Level != OK {
		t.Errorf("%+v", f)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestSecretFiles(t *testing.T) {
	cfg := settings(t)
	if err := os.Mkdir(cfg.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(cfg.Data, "operator.token")
	cfg.ClusterSecret = filepath.Join(t.TempDir(), "secret")
	for _, name := range []string{token, cfg.ClusterSecret} {
		for _, c := range []struct {
			mode os.FileMode
			want Level
		}{{0o600, OK}, {0o400, OK}, {0o640, Fail}, {0o604, Fail}} {
			os.Remove(name)
			if err := os.WriteFile(name, []byte("x"), c.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(name, c.mode); err != nil {
				t.Fatal(err)
			}
			r := Examine(machine(healthy()), cfg)
			worst := OK
			for _, f := range found(r, "secret-files") {
				if f.Level != OK {
					worst = f.Level
				}
			}
			if worst != c.want {
				t.Errorf("%s, mode %o: %+v", name, c.mode, found(r, "secret-files"))
			}
		}
		if err := os.Chmod(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// certificate makes one that is valid for a time, and returns its files.
func certificate(t *testing.T, from, until time.Time) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "old.example"}, DNSNames: []string{"chat.example"},
		NotBefore: from, NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, &form, &form, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestCertificates(t *testing.T) {
	m := machine(healthy())
	now, day := m.Now(), 24*time.Hour
	for _, c := range []struct {
		from, until time.Time
		mode        os.FileMode
		want        Level
	}{
		{now.Add(-day), now.Add(renewWithin), 0o600, OK},
		{now.Add(-day), now.Add(renewWithin - time.Second), 0o600, Warn},
		{now.Add(-day), now.Add(time.Second), 0o600, Warn},
		{now.Add(-day), now, 0o600, Fail},
		{now, now.Add(100 * day), 0o600, OK},
		{now.Add(time.Second), now.Add(100 * day), 0o600, Fail},
		{now, now.Add(100 * day), 0o640, OK},
		{now, now.Add(100 * day), 0o644, Warn},
	} {
		cfg := settings(t)
		cfg.TLSCert, cfg.TLSKey = certificate(t, c.from, c.until)
		if err := os.Chmod(cfg.TLSKey, c.mode); err != nil {
			t.Fatal(err)
		}
		f := found(Examine(m, cfg), "tls")[0]
		if f.Level != c.want || (f.Level != OK) != (f.Fix != "") {
			t.Errorf("from %v until %v, mode %o: %+v", c.from, c.until, c.mode, f)
		}
	}
	cfg := settings(t)
	cfg.TLSCert, cfg.TLSKey = "/no/such/cert.pem", "/no/such/key.pem"
	if f := found(Examine(m, cfg), "tls")[0]; f.Level != Fail {
		t.Errorf("%+v", f)
	}
}

func TestWithoutTLS(t *testing.T) {
	for addr, want := range map[string]Level{
		"127.0.0.1:1": OK, "[::1]:1": OK, "localhost:1": OK, "0.0.0.0:1": Warn, ":1": Warn, "192.0.2.1:1": Warn, "chat.example:1": Warn,
	} {
		cfg := settings(t)
		cfg.Link = addr
		if f := found(Examine(machine(healthy()), cfg), "tls")[0]; f.Level != want {
			t.Errorf("%s: %+v", addr, f)
		}
	}
}

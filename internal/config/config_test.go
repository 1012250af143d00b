package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDefaultIsValid(t *testing.T) {
	c := Default()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestLayers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skein.toml")
	if err := os.WriteFile(path, []byte("http = \"127.0.0.1:1\"\nlink = \"127.0.0.1:2\"\nops = \"127.0.0.1:3\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SKEIN_LINK", "127.0.0.1:22")
	t.Setenv("SKEIN_OPS", "127.0.0.1:33")
	c, err := Load(path, map[string]string{"ops": "127.0.0.1:333", "max_conns": "7"})
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTP != "127.0.0.1:1" || c.Link != "127.0.0.1:22" || c.Ops != "127.0.0.1:333" || c.MaxConns != 7 {
		t.Fatalf("layers are in the wrong order: %+v", c)
	}
}

func TestUnknownAndMalformedAreErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) string {
		path := filepath.Join(dir, "c.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, load := range map[string]func() error{
		"unknown key":      func() error { _, err := Load(file("htpp = \"x\"\n"), nil); return err },
		"wrong type":       func() error { _, err := Load(file("max_conns = \"x\"\n"), nil); return err },
		"not toml":         func() error { _, err := Load(file("\x00"), nil); return err },
		"no file":          func() error { _, err := Load(filepath.Join(dir, "none"), nil); return err },
		"unknown flag":     func() error { _, err := Load("", map[string]string{"nope": "1"}); return err },
		"flag not number":  func() error { _, err := Load("", map[string]string{"shards": "many"}); return err },
		"address":          func() error { _, err := Load("", map[string]string{"http": "here"}); return err },
		"half of TLS":      func() error { _, err := Load("", map[string]string{"tls_cert": "a.pem"}); return err },
		"log level":        func() error { _, err := Load("", map[string]string{"log_level": "loud"}); return err },
		"no data":          func() error { _, err := Load("", map[string]string{"data": ""}); return err },
		"article address":  func() error { _, err := Load("", map[string]string{"article_api": "x"}); return err },
		"link engine":      func() error { _, err := Load("", map[string]string{"link_engine": "steam"}); return err },
		"workers":          func() error { _, err := Load("", map[string]string{"workers": "-1"}); return err },
		"role address":     func() error { _, err := Load("", map[string]string{"role_listen": "unix:x"}); return err },
		"mailbox":          func() error { _, err := Load("", map[string]string{"mailbox": ""}); return err },
		"reconnect":        func() error { _, err := Load("", map[string]string{"reconnect_to": "a:1,b"}); return err },
		"unlimited":        func() error { _, err := Load("", map[string]string{"unlimited_addrs": "10.0.0.1"}); return err },
		"drain":            func() error { _, err := Load("", map[string]string{"drain_seconds": "-1"}); return err },
		"per address":      func() error { _, err := Load("", map[string]string{"conn_rate_per_addr": "0"}); return err },
		"monitor":          func() error { _, err := Load("", map[string]string{"monitor": "maybe"}); return err },
		"targets":          func() error { _, err := Load("", map[string]string{"monitor_targets": "a"}); return err },
		"webhook":          func() error { _, err := Load("", map[string]string{"monitor_webhook": "file:///x"}); return err },
		"connection limit": func() error { _, err := Load("", map[string]string{"max_conns": "0"}); return err },
	} {
		if load() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	c := Default()
	if err := c.ReadEnv([]string{"SKEIN_HTPP=x"}); err == nil || !strings.Contains(err.Error(), "SKEIN_HTPP") {
		t.Errorf("misspelt environment variable: %v", err)
	}
}

func TestWriteReadsBack(t *testing.T) {
	c := Default()
	c.HTTP, c.Shards = "127.0.0.1:0", 3
	var b bytes.Buffer
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "c.toml")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var back Config
	if err := back.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if back != c {
		t.Fatalf("wrote %+v, read %+v", c, back)
	}
}

// A mailbox and a gateway with their defaults do not take each other's ports.
func TestRolesHaveDifferentPorts(t *testing.T) {
	gateway, mailbox := DefaultFor("gateway"), DefaultFor("mailbox")
	taken := map[string]string{gateway.HTTP: "http", gateway.Link: "link", gateway.Ops: "ops"}
	for what, addr := range map[string]string{"role_listen": DefaultRoleListen, "ops": mailbox.Ops} {
		if other := taken[addr]; other != "" {
			t.Errorf("%s of a mailbox is %s of a gateway: %s", what, other, addr)
		}
	}
	if DefaultFor("") != Default() || gateway.Ops != Default().Ops {
		t.Error("a gateway is found elsewhere than a server with every role")
	}
	for _, s := range SettingsFor("mailbox") {
		if s.Key == "ops" && s.Default != mailbox.Ops {
			t.Errorf("the help says %v", s.Default)
		}
	}
}

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSecondServerOnOneDirectory: the second refuses to start and says why. A
// shared store is there for several nodes; see TestTwoNodesWithOneName.
func TestSecondServerOnOneDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	start(t, dir)
	if second, err := tryStart(t, dir); err == nil {
		second.kill()
		t.Fatal("two servers run on one directory")
	} else if !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("the second server says: %v", err)
	}
}

// TestBadSettings: each is refused with the name of the setting.
func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ flag, value, want string }{
		{"--http", "nowhere", "http"},
		{"--max-conns", "0", "max_conns"},
		{"--log-level", "loud", "log_level"},
		{"--tls-cert", "/nowhere.pem", "tls_cert and tls_key"},
		{"--article-data", "/nowhere.txt", "article data"},
	} {
		s, err := tryStart(t, filepath.Join(t.TempDir(), "data"), test.flag, test.value)
		if err == nil {
			s.kill()
			t.Errorf("%s %s: it starts", test.flag, test.value)
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: %v", test.flag, test.value, err)
		}
	}
}

// TestDamagedDirectory: the server refuses to start on what it cannot read. See
// TestUnfitRedis for a shared store.
func TestDamagedDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	start(t, dir).stop(t)
	damaged := 0
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && strings.HasPrefix(info.Name(), "MANIFEST") {
			damaged++
			return os.WriteFile(path, []byte("this is not a manifest"), 0o600)
		}
		return err
	})
	if err != nil || damaged == 0 {
		t.Fatalf("found %d manifests to damage, %v", damaged, err)
	}
	if s, err := tryStart(t, dir); err == nil {
		s.kill()
		t.Fatal("it starts on damaged data")
	} else if !strings.Contains(err.Error(), "damaged") || strings.Contains(err.Error(), "goroutine ") {
		t.Fatalf("on damaged data it says: %v", err)
	}
}

// TestFullDisk fills a small file system. The server must stop taking writes
// and say so, acknowledge nothing it cannot keep, and have everything it
// acknowledged when it starts again with more room. TestFullRedis is the same for
// a shared store.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a small file system here: %v %s", err, out)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := start(t, filepath.Join(dir, "data"))
	alice, bob := register(t, s.HTTP, "alice"), register(t, s.HTTP, "bob")
	befriend(t, alice, bob)

	acknowledged := fill(t, alice, bob)
	if status, body := get(web, "http://"+s.Ops+"/healthz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "no space left") {
		t.Fatalf("health says %d %s", status, body)
	}
	s.kill()
	if out, err := exec.Command("mount", "-o", "remount,size=400m", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	s = start(t, filepath.Join(dir, "data"))
	alice.addr, bob.addr = s.HTTP, s.HTTP
	checkReceived(t, bob, acknowledged)
	t.Logf("%d messages were acknowledged before the disk was full; all are there", acknowledged)
}

// checkReceived waits for messages 0..n-1, in order, each once; one more that
// was never acknowledged may follow.
func checkReceived(t *testing.T, p *person, n int) {
	t.Helper()
	next := 0
	p.waitFor(t, func(e entry) bool {
		if e.Kind == "ENTRY_KIND_MESSAGE" && !e.Outgoing {
			if !strings.HasPrefix(string(e.Content.Body), fmt.Sprintf("message %d ", next)) {
				t.Fatalf("message %d is %.20q", next, e.Content.Body)
			}
			next++
		}
		return next >= n
	})
}

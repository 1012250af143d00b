package node

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestWorkersFor(t *testing.T) {
	for _, c := range []struct{ links, files, want int }{
		{1, 1024, 0}, {524, 1024, 0}, {525, 1024, 2}, {18000, 20000, 0}, {19500, 20000, 0},
		{19501, 20000, 2}, {1_000_000, 20000, 54}, {1_000_000, 1 << 30, 0}, {1, 10, 0}, {2, 10, 2},
	} {
		if got := WorkersFor(c.links, c.files); got != c.want {
			t.Errorf("%d links with %d files each: %d workers, not %d", c.links, c.files, got, c.want)
		}
	}
}

// Whatever the numbers, the workers have room for all links, and none has more
// than it may have files.
func TestLinksEach(t *testing.T) {
	for _, files := range []int{600, 1024, 20000, 1 << 20} {
		for _, links := range []int{1, 100, 18000, 50000, 1_000_000} {
			count := max(1, WorkersFor(links, files))
			each := linksEach(links, count, files)
			if each*count < links || each > files-spareFiles {
				t.Errorf("%d links, %d files: %d workers with %d each", links, files, count, each)
			}
		}
	}
}

func TestListenRole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roles")
	// A socket that a dead process has left.
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	ln, err := listenRole("unix:" + path)
	if err != nil {
		t.Fatalf("a stale socket is in the way: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	if second, err := listenRole("unix:" + path); err == nil {
		second.Close()
		t.Error("a second listener took the socket of the first")
	}
	ln.Close()
	if err := os.WriteFile(path, []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if ln, err := listenRole("unix:" + path); err == nil {
		ln.Close()
		t.Error("a file was taken for a socket")
	}
}

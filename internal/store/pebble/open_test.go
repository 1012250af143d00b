package pebble

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/storetest"
)

// TestReopen: a store that was closed holds what it held, and epochs go on.
func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b") // and parents are made
	p := newProgress(crashOwners)
	s := mustOpen(t, dir, Options{})
	before := storetest.AcquireAll(t, s)
	if err := errors.Join(write(s, before, 1, make([]int, crashOwners), 20, p)...); err != nil {
		t.Fatal(err)
	}
	if err := s.PutMember(context.Background(), store.Member{Node: "n"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, Options{})
	if _, err := verify(s, 1, values(p.acked), values(p.begun)); err != nil {
		t.Fatal(err)
	}
	if members, err := s.Members(context.Background()); err != nil || len(members) != 0 {
		t.Fatalf("the nodes of a process that is gone are members: %v, %v", members, err)
	}
	c := store.Change{Addr: im.User(1), Epoch: before[im.User(1).Slot()]}
	for slot, epoch := range storetest.AcquireAll(t, s) {
		if epoch != before[slot]+1 {
			t.Fatalf("slot %d got epoch %d after %d", slot, epoch, before[slot])
		}
	}
	var fenced *store.SlotError
	if err := s.Commit(context.Background(), &store.Batch{Changes: []store.Change{c}}); !errors.As(err, &fenced) {
		t.Fatalf("commit with an epoch from before the restart: %v", err)
	}
}

// TestLockedSameProcess: no second store in the directory, until the first is
// closed, or could not be opened.
func TestLockedSameProcess(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"disk": vfs.Default, "memory": vfs.NewMem()} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			s := mustOpen(t, dir, Options{FS: fs})
			for range 2 {
				if _, err := Open(dir, Options{FS: fs, Logger: quiet()}); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "stop the other process") {
					t.Fatalf("open twice: %v", err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			writeAll(t, fs, fs.PathJoin(dir, formatFile), []byte("garbage"))
			for range 2 {
				if _, err := Open(dir, Options{FS: fs, Logger: quiet()}); !errors.Is(err, store.ErrCorrupt) {
					t.Fatalf("open after close: %v", err)
				}
			}
		})
	}
}

// TestLockedOtherProcess runs this test again in another process, which holds
// the lock until its input ends.
func TestLockedOtherProcess(t *testing.T) {
	const env = "SKEIN_TEST_LOCK_DIR"
	if dir := os.Getenv(env); dir != "" {
		mustOpen(t, dir, Options{})
		fmt.Println("locked")
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockedOtherProcess$")
	cmd.Env = append(os.Environ(), env+"="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	if _, err := Open(dir, Options{Logger: quiet()}); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("open what another process has open: %v", err)
	}
	if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir, Options{})
}

// TestFormat: what the format file says decides whether the store opens, and
// nothing is touched when it does not.
func TestFormat(t *testing.T) {
	for _, test := range []struct {
		text string
		want error
	}{
		{"skein pebble 1 ready\n", nil},
		{"skein pebble 1 new\n", nil},
		{"skein pebble 2 ready\n", nil},
		{"skein pebble 2 new\n", nil},
		{"skein pebble 3 ready\n", store.ErrNewer},
		{"skein pebble 3 ready and more\n", store.ErrNewer},
		{"skein pebble 17\n", store.ErrNewer},
		{"skein pebble 999999999999999999999999 ready\n", store.ErrCorrupt},
		{"skein pebble 0 ready\n", store.ErrCorrupt},
		{"skein pebble -1 ready\n", store.ErrCorrupt},
		{"skein pebble 1\n", store.ErrCorrupt},
		{"skein pebble 1 half\n", store.ErrCorrupt},
		{"skein redis 1 ready\n", store.ErrCorrupt},
		{"", store.ErrCorrupt},
		{strings.Repeat("x", 1<<16), store.ErrCorrupt},
	} {
		mem, p := writtenDisk(t, 1, 5)
		writeAll(t, mem, "data/"+formatFile, []byte(test.text))
		before := mem.String()
		s, err := Open("data", Options{FS: mem, Logger: quiet(), tune: small})
		if !errors.Is(err, test.want) {
			t.Errorf("format %.40q: %v, want %v", test.text, err, test.want)
		}
		if err != nil {
			if after := mem.String(); after != before {
				t.Errorf("format %.40q: the directory has changed", test.text)
			}
			continue
		}
		if _, err := verify(s, 1, values(p.acked), values(p.begun)); err != nil {
			t.Error(err)
		}
		read := "skein pebble 2 ready\n"
		if test.text == "skein pebble 1 ready\n" {
			read = test.text
		}
		if text := readAll(t, mem, "data/"+formatFile); string(text) != read {
			t.Errorf("format %q after opening: %q", test.text, text)
		}
		if _, err := s.Acquire(t.Context(), "x", []im.Slot{1}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if text := readAll(t, mem, "data/"+formatFile); string(text) != "skein pebble 2 ready\n" {
			t.Errorf("format %q after writing: %q", test.text, text)
		}
	}
}

func FuzzFormat(f *testing.F) {
	f.Add([]byte("skein pebble 1 ready\n"))
	f.Add([]byte("skein pebble 2 \xff"))
	f.Add([]byte("skein pebble 1 %s%d"))
	f.Fuzz(func(t *testing.T, text []byte) {
		mem := vfs.NewMem()
		writeAll(t, mem, formatFile, text)
		state, _, err := readFormat(mem, "", nil)
		if (err == nil) != (state == formatNew || state == formatReady) {
			t.Fatalf("state %q, error %v", state, err)
		}
		if err != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNewer) {
			t.Fatal(err)
		}
	})
}

// TestStrangeDirectories: what is not a store is not taken for one, nor made
// one when it holds anything; a store without its database is not made anew.
func TestStrangeDirectories(t *testing.T) {
	for _, test := range []struct {
		name  string
		files []string
		text  string // of the format file
		want  error
	}{
		{"empty", nil, "", nil},
		{"fresh file system", []string{"lost+found"}, "", nil},
		{"interrupted", []string{formatFile + ".tmp", "LOCK"}, "", nil},
		{"somebody's files", []string{"holiday.jpg"}, "", store.ErrCorrupt},
		{"a neighbour's files", []string{"secret", "secret.tmp"}, "", nil},
		{"database without format file", []string{"MANIFEST-000001", "marker.manifest.000001.MANIFEST-000001"}, "", store.ErrCorrupt},
		{"format file without database", nil, "skein pebble 1 ready\n", store.ErrCorrupt},
		{"garbage instead of a database", []string{"MANIFEST-000001", "marker.manifest.000001.MANIFEST-000001", "000002.log", "000003.sst"}, "skein pebble 1 ready\n", store.ErrCorrupt},
		{"garbage marker", []string{"marker.x"}, "skein pebble 1 ready\n", store.ErrCorrupt},
	} {
		t.Run(test.name, func(t *testing.T) {
			mem := vfs.NewMem()
			if err := mem.MkdirAll("data", 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range test.files {
				writeAll(t, mem, "data/"+name, []byte("garbage, garbage and more garbage"))
			}
			if test.text != "" {
				writeAll(t, mem, "data/"+formatFile, []byte(test.text))
			}
			s, err := Open("data", Options{FS: mem, Logger: quiet(), Beside: []string{"secret"}})
			if err == nil {
				storetest.AcquireAll(t, s)
				err = s.Close()
			}
			if !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Fatalf("open: %v, want %v", err, test.want)
			}
			if err != nil && !strings.Contains(err.Error(), "restore a backup") {
				t.Fatalf("the error does not say what to do: %v", err)
			}
		})
	}
}

// TestNoDirectory: a path that cannot be had is neither locked nor damaged.
func TestNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	denied := errorfs.Wrap(vfs.NewMem(), &fault{match: writes, at: 1, err: syscall.EACCES})
	for name, open := range map[string]func() (*Store, error){
		"under a file": func() (*Store, error) { return Open(filepath.Join(file, "data"), Options{Logger: quiet()}) },
		"a file":       func() (*Store, error) { return Open(file, Options{Logger: quiet()}) },
		"not writable": func() (*Store, error) { return Open("data", Options{FS: denied, Logger: quiet()}) },
	} {
		_, err := open()
		if err == nil || errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrLocked) || errors.Is(err, store.ErrNewer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMessages: errors and the failure tell the operator what to do.
func TestMessages(t *testing.T) {
	for cause, want := range map[error]string{
		syscall.ENOSPC: "free space", syscall.EDQUOT: "free space", syscall.EIO: "kernel log",
		syscall.EROFS: "writable", syscall.EMFILE: "open files",
	} {
		f := newFailure(quiet())
		f.set("write", "some.log", cause)
		f.set("write", "other.log", errors.New("later"))
		for _, text := range []string{want, "some.log", cause.Error()} {
			if err := f.get(); !strings.Contains(err.Error(), text) {
				t.Errorf("%v: no %q in %q", cause, text, err)
			}
		}
	}
}

// TestPebbleOptions: Pebble accepts the options, and none of its defaults has
// crept in where it would hurt.
func TestPebbleOptions(t *testing.T) {
	s := &Store{log: quiet(), failure: newFailure(quiet())}
	s.gate, s.scheduler = newGate(nil), newScheduler(s.failure, time.Now)
	p := s.pebbleOptions(Options{CacheBytes: 1})
	p.FS = vfs.NewMem()
	p.EnsureDefaults()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	last := len(p.Levels) - 1
	if p.Levels[last].FilterPolicy != pebbledb.NoFilterPolicy || p.Levels[last-1].FilterPolicy == pebbledb.NoFilterPolicy {
		t.Error("filters are on the wrong levels")
	}
	if p.FormatMajorVersion != 21 || formatVersion != 2 {
		t.Error("formatVersion must rise with the format of Pebble's files")
	}
}

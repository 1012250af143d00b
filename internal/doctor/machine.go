package doctor

import (
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Bounds of what is read and tried.
const (
	maxText     = 1 << 20
	maxLinks    = 200_000
	maxSyncs    = 20
	maxSyncTime = 2 * time.Second
)

// Local is the machine that this process runs on.
func Local() Machine {
	return Machine{
		FS: os.DirFS("/"), Now: time.Now, Listen: tryListen,
		Space: fileSystem, Sync: timeSyncs, Synchronized: clockSynchronized,
	}
}

func tryListen(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return ln.Close()
}

// timeSyncs writes and syncs blocks of the size of a small commit.
func timeSyncs(dir string) (took []time.Duration, err error) {
	f, err := os.CreateTemp(dir, "skein-doctor-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4<<10)
	for begun := time.Now(); len(took) < maxSyncs && time.Since(begun) < maxSyncTime; {
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

// text is a file without the space around it, "" if it cannot be read.
func (m *Machine) text(name string) string {
	f, err := m.FS.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// numbers are those of a file of numbers, nil if it is not one.
func (m *Machine) numbers(name string) []int {
	var list []int
	for _, s := range strings.Fields(m.text(name)) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil
		}
		list = append(list, n)
	}
	return list
}

// sysctl is a setting of the kernel that is one number.
func (m *Machine) sysctl(key string) (int, bool) {
	n := m.numbers(path.Join("proc/sys", strings.ReplaceAll(key, ".", "/")))
	if len(n) != 1 {
		return 0, false
	}
	return n[0], true
}

// limit is a hard limit of processes. The soft one does not matter: a program
// in Go raises that of open files when it starts.
func (m *Machine) limit(name string) (int, bool) {
	for line := range strings.Lines(m.text("proc/self/limits")) {
		rest, ok := strings.CutPrefix(line, name+" ")
		f := strings.Fields(rest)
		if !ok || len(f) < 2 {
			continue
		}
		if f[1] == "unlimited" {
			return math.MaxInt32, true
		}
		n, err := strconv.Atoi(f[1])
		return n, err == nil
	}
	return 0, false
}

// cgroup is the least limit that the control groups of this process set; v1
// and v2 are the names of the file in the two versions of their hierarchy.
func (m *Machine) cgroup(controller, v1, v2 string) (least int, ok bool) {
	for line := range strings.Lines(m.text("proc/self/cgroup")) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		root, file := "sys/fs/cgroup/"+controller, v1
		switch {
		case f[1] == "" && f[0] == "0":
			root, file = "sys/fs/cgroup", v2
		case f[1] != controller:
			continue
		}
		for dir := path.Clean("/" + f[2]); ; dir = path.Dir(dir) {
			if n := m.numbers(path.Join(root, dir, file)); len(n) == 1 && (!ok || n[0] < least) {
				least, ok = n[0], true
			}
			if dir == "/" {
				break
			}
		}
	}
	return least, ok
}

// existing is the directory, or the nearest above it that exists.
func existing(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return dir
		}
		dir = up
	}
}

// mode is the permissions of a file.
func mode(name string) (fs.FileMode, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Mode().Perm(), nil
}

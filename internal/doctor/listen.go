package doctor

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// address is one that the settings name.
type address struct{ setting, addr string }

func (e *exam) addresses() []address {
	list := []address{{"http", e.cfg.HTTP}, {"link", e.cfg.Link}, {"ops", e.cfg.Ops}}
	if e.cfg.ArticleAPI != "" {
		list = append(list, address{"article-api", e.cfg.ArticleAPI})
	}
	if e.cfg.RoleListen != "" {
		list = append(list, address{"role-listen", e.cfg.RoleListen})
	}
	return list
}

// listen tries every address.
func (e *exam) listen() []Finding {
	var all []Finding
	seen := map[string]string{}
	for _, a := range e.addresses() {
		f := e.tryAddress(a)
		if other := seen[a.addr]; other != "" && portOf(a.addr) != 0 {
			f = Finding{Level: Fail, Value: fmt.Sprintf("--%s and --%s are both %s", other, a.setting, a.addr), Need: "an address for each", Fix: "--" + a.setting + " with another port"}
		}
		seen[a.addr] = a.setting
		all = append(all, f)
	}
	return all
}

func (e *exam) tryAddress(a address) Finding {
	if socket, ok := strings.CutPrefix(a.addr, "unix:"); ok {
		return writable(filepath.Dir(socket), fmt.Sprintf("--%s %s", a.setting, a.addr))
	}
	name := fmt.Sprintf("--%s %s", a.setting, a.addr)
	err := e.Listen(a.addr)
	switch {
	case err == nil:
		return Finding{Level: OK, Value: name + " is free"}
	case errors.Is(err, syscall.EADDRINUSE):
		return e.inUse(a, name)
	case errors.Is(err, fs.ErrPermission):
		return Finding{
			Level: Fail, Value: name + " is not allowed to this user", Need: "the right to listen there", Why: "ports below 1024 are for root",
			Fix: "AmbientCapabilities=CAP_NET_BIND_SERVICE in the [Service] section of systemd's unit, or --" + a.setting + " with a port from 1024",
		}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return Finding{Level: Fail, Value: name + " is not an address of this machine", Need: "one that 'ip address' lists", Fix: "--" + a.setting + " with another address"}
	}
	return Finding{Level: Fail, Value: fmt.Sprintf("%s: %v", name, err), Need: "an address to listen on"}
}

// inUse says who has an address, if that can be told. A Skein that runs
// already is no failure: it may be the very node that is looked at.
func (e *exam) inUse(a address, name string) Finding {
	pid, program := e.listener(portOf(a.addr))
	switch {
	case pid == 0:
		return Finding{Level: Fail, Value: name + " is in use; by whom is not told", Need: "a free address", Fix: fmt.Sprintf("'ss -ltnp' as root tells who has it; or --%s with another port", a.setting)}
	case program == "skein":
		return Finding{Level: Info, Value: fmt.Sprintf("%s is in use by Skein itself (process %d)", name, pid), Why: "as it should be if that is the node you ask about"}
	}
	return Finding{Level: Fail, Value: fmt.Sprintf("%s is in use by %s (process %d)", name, program, pid), Need: "a free address", Fix: fmt.Sprintf("stop %s, or --%s with another port", program, a.setting)}
}

// listener finds the process that listens on a port; pid is 0 if it cannot be
// told, as for processes of other users.
func (m *Machine) listener(port int) (pid int, program string) {
	sockets := m.listening("proc/net/tcp", port)
	sockets = append(sockets, m.listening("proc/net/tcp6", port)...)
	processes, err := fs.ReadDir(m.FS, "proc")
	if err != nil || len(sockets) == 0 {
		return 0, ""
	}
	budget := maxLinks
	for _, p := range processes {
		n, err := strconv.Atoi(p.Name())
		if err != nil || n == os.Getpid() {
			continue
		}
		if m.hasOpen(p.Name(), sockets, &budget) {
			return n, m.text("proc/" + p.Name() + "/comm")
		}
	}
	return 0, ""
}

// listening are the sockets, as /proc/PID/fd names them, that listen on a port.
func (m *Machine) listening(table string, port int) (sockets []string) {
	const listen = "0A"
	for line := range strings.Lines(m.text(table)) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != listen {
			continue
		}
		_, p, _ := strings.Cut(f[1], ":")
		if b, err := hex.DecodeString(p); err == nil && len(b) == 2 && int(b[0])<<8|int(b[1]) == port {
			sockets = append(sockets, "socket:["+f[9]+"]")
		}
	}
	return sockets
}

// hasOpen reports whether a process has one of the sockets open, as far as the
// budget of links to follow goes.
func (m *Machine) hasOpen(process string, sockets []string, budget *int) bool {
	dir := "proc/" + process + "/fd"
	files, err := fs.ReadDir(m.FS, dir)
	if err != nil {
		return false
	}
	for _, f := range files {
		if *budget--; *budget < 0 {
			return false
		}
		target, err := fs.ReadLink(m.FS, dir+"/"+f.Name())
		if err != nil {
			continue
		}
		for _, s := range sockets {
			if target == s {
				return true
			}
		}
	}
	return false
}

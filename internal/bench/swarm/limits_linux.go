package swarm

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SystemLimits asks the system.
func SystemLimits() (Limits, error) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return Limits{}, fmt.Errorf("the limit of open files: %w", err)
	}
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return Limits{}, fmt.Errorf("the range of ports: %w", err)
	}
	var from, to int
	if _, err := fmt.Sscan(string(b), &from, &to); err != nil {
		return Limits{}, fmt.Errorf("the range of ports %q: %w", b, err)
	}
	return Limits{Files: int(min(files.Cur, 1<<30)), Ports: to - from + 1}, nil
}

//go:build unix

package supervise

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a worker into a process group of its own.
func ownGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}

// pollable makes reads of a pipe end when its file is closed.
func pollable(fd uintptr) error { return syscall.SetNonblock(int(fd), true) }

package redistest

import (
	"os"
	"os/exec"
	"runtime"
)

// process is a child that ends with this process.
type process struct {
	pid  int
	cmd  *exec.Cmd
	done chan struct{}
}

// startProcess starts a program. Where the kernel kills the child when its
// parent dies, "parent" means the thread that started it: so one thread waits
// for the child from its start to its end.
func startProcess(path string, args []string) (*process, error) {
	p := &process{cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.SysProcAttr = dieWithParent()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := p.cmd.Start()
		if err == nil {
			p.pid = p.cmd.Process.Pid
		}
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
			close(p.done)
		}
	}()
	return p, <-started
}

// signal does nothing to a process that has ended.
func (p *process) signal(sig os.Signal) { _ = p.cmd.Process.Signal(sig) }

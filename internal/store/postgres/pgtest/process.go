package pgtest

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
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
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
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

// all are the server's processes, the one that has started the others first.
func (p *process) all() []int { return append([]int{p.pid}, children(p.pid)...) }

// kill ends the server with all its processes, and waits for their end: a new one
// does not start as long as one of them has its memory.
func (p *process) kill() {
	p.signal(syscall.SIGSTOP)
	pids := children(p.pid)
	p.signalAll(syscall.SIGKILL)
	<-p.done
	for _, pid := range pids {
		awaitEnd(pid)
	}
}

// signalAll signals the server with all its processes: as a machine that loses
// power, or hangs, takes them all at once. No new ones come meanwhile.
func (p *process) signalAll(sig syscall.Signal) {
	p.signal(syscall.SIGSTOP)
	for _, pid := range children(p.pid) {
		if c, err := os.FindProcess(pid); err == nil {
			_ = c.Signal(sig)
		}
	}
	if sig != syscall.SIGSTOP {
		p.signal(sig)
	}
}

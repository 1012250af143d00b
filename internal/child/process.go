package child

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

// start starts a program. Where the kernel kills the child when its parent dies,
// "parent" means the thread that started it: so one thread waits for the child from
// its start to its end.
func start(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = Attributes(cmd.SysProcAttr)
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

// ended reports whether it has. Its number may be somebody else's then.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends it with all that it has started, and waits for their end: some servers do not start as long
// as one of them has its memory.
func (p *process) kill() {
	if p.ended() {
		return
	}
	p.signal(syscall.SIGSTOP)
	pids := Descendants(p.pid)
	p.signalAll(syscall.SIGKILL)
	<-p.done
	for _, pid := range pids {
		awaitEnd(pid)
	}
}

// signalAll signals all of these, as a machine that loses power, or hangs, takes them
// all at once. No new ones come meanwhile.
func (p *process) signalAll(sig syscall.Signal) {
	if p.ended() {
		return
	}
	p.signal(syscall.SIGSTOP)
	for _, pid := range Descendants(p.pid) {
		if c, err := os.FindProcess(pid); err == nil {
			_ = c.Signal(sig)
		}
	}
	if sig != syscall.SIGSTOP {
		p.signal(sig)
	}
}

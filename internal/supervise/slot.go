package supervise

import (
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// slot is the place of one worker: one process after the other.
type slot struct {
	sup *Supervisor

	mu   sync.Mutex
	info WorkerInfo
	proc *process

	// final is why the last process failed, if it was to drain; read when all
	// is done.
	final error
}

// process is the one that runs, if one does.
func (w *slot) process() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.proc
}

func (w *slot) snapshot() WorkerInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.info
}

// set changes the state.
func (w *slot) set(state State, change func(*WorkerInfo)) {
	w.mu.Lock()
	w.info.State, w.info.Since = state, w.sup.cfg.Now()
	change(&w.info)
	info := w.info
	w.mu.Unlock()
	w.sup.cfg.OnChange(info)
}

// run keeps a worker running until all are to end. On first goes the fate of
// the first process: nil when it is ready. One that failed is not replaced,
// because then the start has failed.
func (w *slot) run(first chan<- error) {
	started := false
	begun := func() {
		if !started {
			started = true
			first <- nil
		}
	}
	for {
		e := w.live(begun)
		if !started {
			first <- e.failure()
		}
		last := !started || w.sup.stopping()
		if last {
			w.final = e.err
		}
		if last || !w.pause(e) {
			w.set(Stopped, func(i *WorkerInfo) { i.PID, i.RetryAt, i.LastError = 0, time.Time{}, e.text() })
			return
		}
	}
}

// end is how a process ended.
type end struct {
	index int
	// ran is how long it was ready.
	ran time.Duration
	// err is nil when it ended because it was told to.
	err error
	// said is the end of its standard error.
	said string
}

func (e end) text() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// failure is why a process that did not become ready failed.
func (e end) failure() error {
	err := e.err
	if err == nil {
		err = im.Errorf(im.Unavailable, "it ended before it was ready")
	}
	if e.said == "" {
		return im.Errorf(im.KindOf(err), "worker %d did not start: %w", e.index, err)
	}
	return im.Errorf(im.KindOf(err), "worker %d did not start; it said:\n%s\nand: %w", e.index, e.said, err)
}

// live runs one process to its end.
func (w *slot) live(begun func()) end {
	s := w.sup
	p, err := s.spawn(w.snapshot().Index)
	if err != nil {
		return end{index: p.index, err: err}
	}
	w.mu.Lock()
	w.proc = p
	w.mu.Unlock()
	w.set(Starting, func(i *WorkerInfo) { i.PID, i.RetryAt = p.cmd.Process.Pid, time.Time{} })
	since, isReady := w.watch(p, begun)
	w.mu.Lock()
	w.proc = nil
	w.mu.Unlock()
	e := end{index: p.index, err: p.err, said: p.tail.String()}
	if isReady {
		e.ran = s.cfg.Now().Sub(since)
	}
	return e
}

// watch follows a process until it has exited, and says since when it was
// ready, if it ever was.
func (w *slot) watch(p *process, begun func()) (since time.Time, isReady bool) {
	s := w.sup
	ready, draining, leave, kill := p.ready, p.draining, s.leave, s.kill
	timeout := s.cfg.After(s.cfg.ReadyTimeout)
	nowReady := func() {
		ready, timeout, isReady, since = nil, nil, true, s.cfg.Now()
		w.set(Ready, func(i *WorkerInfo) { i.Info = p.info })
		s.cfg.Logger.Info("worker ready", "worker", p.index, "pid", p.cmd.Process.Pid)
		begun()
	}
	for {
		select {
		case <-ready:
			nowReady()
		case <-timeout:
			timeout = nil
			p.kill(im.Errorf(im.Unavailable, "not ready within %v", s.cfg.ReadyTimeout))
		case <-draining:
			if draining = nil; ready != nil && closed(ready) {
				nowReady()
			}
			w.set(Draining, func(*WorkerInfo) {})
		case <-leave:
			leave = nil
			p.out <- s.drainLine
		case <-kill:
			kill = nil
			p.kill(im.Errorf(im.Unavailable, "killed"))
		case <-p.exited:
			if ready != nil && closed(ready) {
				nowReady()
			}
			return since, isReady
		}
	}
}

// pause waits before the next process, and reports whether there is to be one.
func (w *slot) pause(e end) bool {
	s := w.sup
	info := w.snapshot()
	failures, wait := nextTry(&s.cfg, info.Failures, e)
	if e.err != nil {
		s.cfg.Logger.Warn("worker died", "worker", e.index, "pid", info.PID, "err", e.err, "failures", failures, "again_in", wait)
	} else {
		s.cfg.Logger.Info("worker ended as it was told", "worker", e.index, "pid", info.PID, "again_in", wait)
	}
	// The timer comes first, so that whoever hears of the wait can rely on it.
	again := s.cfg.After(wait)
	w.set(Waiting, func(i *WorkerInfo) {
		i.PID, i.Info, i.Failures, i.LastError = 0, nil, failures, e.text()
		i.RetryAt = i.Since.Add(wait)
		i.Restarts++
	})
	select {
	case <-again:
		return true
	case <-s.leave:
	case <-s.kill:
	}
	return false
}

// nextTry is how many failures there are now in a row, and how long to wait.
func nextTry(cfg *Config, failures int, e end) (int, time.Duration) {
	if e.ran >= cfg.Forgive {
		failures = 0
	}
	if e.err == nil {
		return failures, cfg.MinBackoff
	}
	wait := cfg.MinBackoff
	for range failures {
		if wait = min(2*wait, cfg.MaxBackoff); wait == cfg.MaxBackoff {
			break
		}
	}
	return failures + 1, wait
}

package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/supervise"
	"github.com/skein-im/skein/internal/telemetry"
	"github.com/skein-im/skein/internal/trace"
)

// workers are the processes that serve the long links in this one's stead.
type workers struct {
	port       *link.Reservation
	supervisor *supervise.Supervisor
	// temp is a directory that was made for the socket; empty: there is none.
	temp string

	mu    sync.Mutex
	total *telemetry.Total[frontSample]
}

// workerSettings are what a worker is started with.
type workerSettings struct {
	Config config.Config `json:"config"`
	// Mailbox is where the one mailbox process is, Members are the nodes where
	// there are several.
	Mailbox string           `json:"mailbox"`
	Members []cluster.Member `json:"members,omitempty"`
	Secret  string           `json:"secret"`
}

// manyFiles stands for no limit.
const manyFiles = 1 << 30

// spareFiles is how many files a process needs besides its links.
const spareFiles = 500

// WorkersFor is how many worker processes it takes for a number of links, when
// a process may open so many files; 0: one process will do. The system deals
// links out by chance, so that the workers are not equally full.
func WorkersFor(links, files int) int {
	room := max(1, files-spareFiles)
	if links <= room {
		return 0
	}
	usual := max(1, room*19/20)
	return (links + usual - 1) / usual
}

// linksEach is how many links one of the workers may have.
func linksEach(links, count, files int) int {
	share := (links + count - 1) / count
	return min(share+share/8+64, max(1, files-spareFiles))
}

// startWorkers starts count workers.
func (n *Node) startWorkers(ctx context.Context, count int) error {
	if n.opts.WorkerCommand == nil {
		return fmt.Errorf("this program cannot start workers; set max_conns to at most %d, and workers to 0", openFiles()-spareFiles)
	}
	w := &workers{total: telemetry.NewTotal[frontSample](count)}
	n.workers = w
	var err error
	if w.port, err = link.Reserve(n.cfg.Link); err != nil {
		return cannotListen("--link", n.cfg.Link, err)
	}
	settings, err := n.workerSettings(count)
	if err != nil {
		return err
	}
	w.supervisor, err = supervise.Start(ctx, supervise.Config{
		Count: count, Command: func(int) *exec.Cmd { return n.workerCommand(count) }, Input: settings, Logger: n.log,
		OnChange: n.workerChanged,
	})
	if err != nil {
		return fmt.Errorf("cannot start the workers: %w", err)
	}
	n.addrs.Link = w.port.Addr().String()
	if n.shared != nil {
		n.tasks.Go(n.keepCrewInformed)
	}
	return nil
}

func (n *Node) workerSettings(count int) (workerSettings, error) {
	secret, err := n.clusterSecret()
	if err != nil {
		return workerSettings{}, err
	}
	s := workerSettings{Config: n.cfg, Mailbox: n.cfg.Mailbox, Secret: secret}
	s.Config.Node = n.name
	s.Config.Link = n.workers.port.Addr().String()
	s.Config.MaxConns = linksEach(n.cfg.MaxConns, count, openFiles())
	if room := s.Config.MaxConns * count; room < n.cfg.MaxConns {
		n.log.Warn("the workers cannot open as many files as there may be links; give more workers, or none",
			"workers", count, "links", room, "max_conns", n.cfg.MaxConns)
	}
	// An address's links are dealt out to all workers.
	s.Config.MaxConnsPerAddr = linksEach(cmp.Or(n.cfg.MaxConnsPerAddr, n.cfg.MaxConns/4), count, openFiles())
	s.Config.ConnRatePerAddr = max(1, n.cfg.ConnRatePerAddr/count)
	if n.shared != nil {
		s.Members, _ = n.shared.membership.Members()
		return s, nil
	}
	if n.back == nil {
		return s, nil
	}
	path, err := n.workers.socketPath(n.addrs.Data)
	if err != nil {
		return s, err
	}
	s.Mailbox, err = n.listenRoles("unix:"+path, n.back.roles)
	return s, err
}

// maxSocketPath is how long a path to a socket may be everywhere.
const maxSocketPath = 100

// socketPath is where workers reach the mailbox: in the data directory, where a
// socket that a dead process has left is found and removed, unless its path is
// too long.
func (w *workers) socketPath(data string) (string, error) {
	path := filepath.Join(data, "workers.sock")
	if len(path) <= maxSocketPath {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "skein-")
	w.temp = dir
	return filepath.Join(dir, "workers.sock"), err
}

// workerCommand gives each worker its share of the processors: with many of
// them, more threads each would only get into each other's way.
func (n *Node) workerCommand(count int) *exec.Cmd {
	cmd := n.opts.WorkerCommand()
	threads := max(1, runtime.NumCPU()/count)
	cmd.Env = append(cmd.Environ(), "GOMAXPROCS="+strconv.Itoa(threads))
	return cmd
}

// killTimeout bounds how long it takes to get rid of killed workers.
const killTimeout = 2 * time.Second

// askTimeout bounds what is asked of the workers for a scrape or a notice.
const askTimeout = 5 * time.Second

// samples asks every worker for its counters, and adds what those have counted
// that have died or do not answer.
func (w *workers) samples() []frontSample {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	answers := w.supervisor.AskAll(ctx, askSample, nil, func() any { return new(frontSample) })
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []frontSample
	for i, a := range answers {
		if a.Err == nil {
			one := *a.Reply.(*frontSample)
			w.total.Saw(i, one.Process.PID, one)
			all = append(all, one)
		}
	}
	return append(all, w.total.Rest(func(i int) bool { return answers[i].Err == nil }))
}

// ready is how many workers serve links.
func (w *workers) ready() int {
	n := 0
	for _, info := range w.supervisor.Workers() {
		if info.State == supervise.Ready {
			n++
		}
	}
	return n
}

// reports asks every worker for traces.
func (w *workers) reports(q traceQuery) []trace.Report {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	var all []trace.Report
	for _, a := range w.supervisor.AskAll(ctx, askTraces, q, func() any { return new(trace.Report) }) {
		if a.Err == nil {
			all = append(all, *a.Reply.(*trace.Report))
		}
	}
	return all
}

// notify hands frames to the links of every worker.
func (w *workers) notify(ctx context.Context, frame []byte) (reached uint64, err error) {
	for _, a := range w.supervisor.AskAll(ctx, askNotify, frame, func() any { return new(uint64) }) {
		if a.Err != nil {
			err = a.Err
			continue
		}
		reached += *a.Reply.(*uint64)
	}
	return reached, err
}

// drainOrder is what workers are told when they are to drain.
type drainOrder struct {
	Over time.Duration `json:"over"`
}

func (w *workers) drain(ctx context.Context, over time.Duration) error {
	return w.supervisor.Drain(ctx, drainOrder{over})
}

// stop ends what drain has left.
func (w *workers) stop(ctx context.Context) error {
	var err error
	if w.supervisor != nil {
		err = w.supervisor.Stop(ctx)
	}
	if w.port != nil {
		_ = w.port.Close()
	}
	if w.temp != "" {
		_ = os.RemoveAll(w.temp)
	}
	return err
}

// kill ends the workers without a word to their clients.
func (w *workers) kill() {
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	_ = w.stop(ctx)
}

// The questions that workers answer.
const (
	askSample   = "sample"
	askLogLevel = "log-level"
	askNotify   = "notify"
	askTraces   = "traces"
	// askTalkers asks for the users who ask for the most.
	askTalkers = "talkers"
)

func decodeOrder(arg json.RawMessage, fallback time.Duration) time.Duration {
	var order drainOrder
	if len(arg) == 0 || json.Unmarshal(arg, &order) != nil {
		return fallback
	}
	return order.Over
}

package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"runtime"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/gateway"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/sched"
	"github.com/skein-im/skein/internal/supervise"
)

// WorkerOptions are what the program gives a worker.
type WorkerOptions struct {
	// Logger makes the logger, whose level may change.
	Logger  func(level slog.Leveler) *slog.Logger
	Version string
}

// RunWorker is the life of a worker process: it serves long links at an address
// that it shares with others, until its supervisor tells it to stop or dies, or
// ctx ends.
func RunWorker(ctx context.Context, in io.ReadCloser, out io.Writer, opts WorkerOptions) error {
	var n *Node
	return supervise.Serve(ctx, in, out, supervise.Worker{
		Start: func(ctx context.Context, in supervise.Input) (any, error) {
			var err error
			n, err = startWorker(ctx, in, opts)
			if err != nil {
				return nil, err
			}
			return n.addrs, nil
		},
		Handlers: map[string]supervise.Handler{
			askSample: func(context.Context, json.RawMessage) (any, error) { return n.frontSample(), nil },
			askTraces: func(_ context.Context, arg json.RawMessage) (any, error) {
				var q traceQuery
				if err := json.Unmarshal(arg, &q); err != nil {
					return nil, im.Errorf(im.Invalid, "not a question for traces: %w", err)
				}
				return n.traces.report(q), nil
			},
			askLogLevel: func(_ context.Context, arg json.RawMessage) (any, error) {
				var level slog.Level
				if err := json.Unmarshal(arg, &level); err != nil {
					return nil, im.Errorf(im.Invalid, "not a level: %w", err)
				}
				n.opts.Level.Set(level)
				return nil, nil
			},
			askTalkers: func(context.Context, json.RawMessage) (any, error) { return n.front.gateway.Talkers(mostTalkers), nil },
			askNotify: func(ctx context.Context, arg json.RawMessage) (any, error) {
				var frame []byte
				if err := json.Unmarshal(arg, &frame); err != nil {
					return nil, im.Errorf(im.Invalid, "not a notice: %w", err)
				}
				return n.front.notify(ctx, frame)
			},
			askMembers: func(_ context.Context, arg json.RawMessage) (any, error) { return struct{}{}, n.takeMembers(arg) },
		},
		Drain: func(ctx context.Context, why supervise.Reason, arg json.RawMessage) error {
			n.log.Info("draining", "why", string(why))
			return n.stop(ctx, decodeOrder(arg, n.drainTime(n.front.open())))
		},
	})
}

// fewAttaching is how many logins a worker has under way at least. All workers
// together have as many as one process would: what the mailbox cannot take yet
// waits here, where waiting costs nothing, and not in its queue.
const fewAttaching = 8

// startWorker starts the part of a gateway that has the long links.
func startWorker(ctx context.Context, in supervise.Input, opts WorkerOptions) (_ *Node, err error) {
	var s workerSettings
	if err := json.Unmarshal(in.Settings, &s); err != nil {
		return nil, fmt.Errorf("not settings of a worker: %w", err)
	}
	level := new(slog.LevelVar)
	level.Set(LogLevel(s.Config.LogLevel))
	log := opts.Logger(level).With("worker", in.Index)
	if in.Count > runtime.NumCPU() {
		// Nothing depends on it but how long a turn is.
		if err := sched.Batch(); err != nil {
			log.Info("the system's scheduler cannot be told that this is one of many workers", "err", err)
		}
	}
	s.Config.Node = workerName(s.Config.Node, in.Index)
	n := newNode(s.Config, Options{Role: Gateway, Logger: log, Level: level, Version: opts.Version})
	defer func() {
		if err != nil {
			_ = n.Stop()
		}
	}()
	if err := n.startTraces(); err != nil {
		return nil, err
	}
	if s.Members != nil {
		n.openRoute(s.Secret)
		n.route.Update(s.Members, cluster.NewTable(s.Members))
	} else {
		n.connectMailbox(s.Mailbox, s.Secret)
	}
	n.attaching = max(fewAttaching, gateway.DefaultMaxAttaching/in.Count)
	if n.front, err = n.newFront(); err != nil {
		return nil, err
	}
	ln, err := link.ListenShared(ctx, s.Config.Link)
	if err != nil {
		return nil, cannotListen("--link", s.Config.Link, err)
	}
	n.serveLinks(ln)
	n.resettling.allow()
	n.tasks.Go(n.trim)
	return n, nil
}

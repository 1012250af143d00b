package node

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/supervise"
)

// LogLevel is a level by its name in the settings; another name is info, which
// config.Validate does not let through.
func LogLevel(name string) slog.Level {
	level, err := parseLogLevel(name)
	if err != nil {
		return slog.LevelInfo
	}
	return level
}

func parseLogLevel(name string) (slog.Level, error) {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(name, l.String()) {
			return l, nil
		}
	}
	return 0, im.Errorf(im.Invalid, "the level is debug, info, warn or error, not %.20q", name)
}

// LogLevelStatus is what /log-level on the ops listener answers.
type LogLevelStatus struct {
	Level string `json:"level"`
	// Workers is how many worker processes follow.
	Workers int `json:"workers"`
}

// maxLevelName bounds what a request may give for a level.
const maxLevelName = 64

func (n *Node) putLogLevel(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLevelName))
	if err != nil {
		http.Error(w, "send debug, info, warn or error as the body", http.StatusBadRequest)
		return
	}
	level, err := parseLogLevel(strings.TrimSpace(string(text)))
	if err != nil {
		http.Error(w, im.AsError(err).Detail, http.StatusBadRequest)
		return
	}
	if err := n.setLogLevel(r.Context(), level); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	n.getLogLevel(w, r)
}

func (n *Node) getLogLevel(w http.ResponseWriter, _ *http.Request) {
	if n.opts.Level == nil {
		http.Error(w, "this node's log level is fixed", http.StatusNotImplemented)
		return
	}
	status := LogLevelStatus{Level: strings.ToLower(n.opts.Level.Level().String())}
	if n.workers != nil {
		status.Workers = n.workers.ready()
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status)
}

// setLogLevel changes the level here and in the workers. One that is about to
// be ready follows by itself; see tellLevel.
func (n *Node) setLogLevel(ctx context.Context, level slog.Level) error {
	if n.opts.Level == nil {
		return im.Errorf(im.Unimplemented, "this node's log level is fixed")
	}
	was := n.opts.Level.Level()
	n.opts.Level.Set(level)
	n.log.Log(ctx, max(was, level, slog.LevelInfo), "the log level was changed", "from", was, "to", level)
	if n.workers == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var errs []error
	for _, a := range n.workers.supervisor.AskAll(ctx, askLogLevel, level, func() any { return nil }) {
		if im.KindOf(a.Err) != im.Unavailable {
			errs = append(errs, a.Err)
		}
	}
	return errors.Join(errs...)
}

// tellLevel gives a worker that was started later the level that holds.
func (n *Node) tellLevel(w supervise.WorkerInfo) {
	if w.State != supervise.Ready || n.opts.Level == nil || n.opts.Level.Level() == LogLevel(n.cfg.LogLevel) {
		return
	}
	// The supervisor waits for this to return.
	n.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		if err := n.workers.supervisor.Ask(ctx, w.Index, askLogLevel, n.opts.Level.Level(), nil); err != nil {
			n.log.Warn("a worker does not know the log level", "worker", w.Index, "err", err)
		}
	})
}

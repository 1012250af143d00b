package node

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/skein-im/skein/internal/telemetry"
)

// mostTalkers is how many of the users who ask for the most a process tells.
const mostTalkers = 64

// serveTalkers tells which users ask for the most, by number, here and in the
// workers.
func (n *Node) serveTalkers(w http.ResponseWriter, r *http.Request) {
	var parts []telemetry.Hitters
	if n.front != nil {
		parts = append(parts, n.front.gateway.Talkers(mostTalkers))
	}
	if n.workers != nil && n.workers.supervisor != nil {
		parts = append(parts, n.workers.talkers(r.Context())...)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(telemetry.MergeHitters(mostTalkers, parts...))
}

// talkers asks every worker. One that does not answer is left out.
func (w *workers) talkers(ctx context.Context) []telemetry.Hitters {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var all []telemetry.Hitters
	for _, a := range w.supervisor.AskAll(ctx, askTalkers, nil, func() any { return new(telemetry.Hitters) }) {
		if a.Err == nil {
			all = append(all, *a.Reply.(*telemetry.Hitters))
		}
	}
	return all
}

package node

import (
	"context"
	"encoding/json"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/supervise"
)

// askMembers brings a worker the nodes that there are.
const askMembers = "members"

// tellCrew asks for the workers to be told who is there. It returns at once.
func (n *Node) tellCrew() {
	select {
	case n.news <- struct{}{}:
	default:
	}
}

// workerChanged hears of a worker that has become ready: it knows the nodes, and
// the log level, as of the start of all workers.
func (n *Node) workerChanged(w supervise.WorkerInfo) {
	n.tellLevel(w)
	if n.shared != nil && w.State == supervise.Ready {
		n.tellCrew()
	}
}

// keepCrewInformed tells the workers of changes, until the node stops.
func (n *Node) keepCrewInformed() {
	for {
		select {
		case <-n.stopping:
			return
		case <-n.news:
		}
		members, _ := n.shared.membership.Members()
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		for i, a := range n.workers.supervisor.AskAll(ctx, askMembers, members, func() any { return new(struct{}) }) {
			if a.Err != nil {
				// One that starts is told when it is ready.
				n.log.Debug("a worker was not told of the nodes", "worker", i, "err", a.Err)
			}
		}
		cancel()
	}
}

// takeMembers is a worker's part in that.
func (n *Node) takeMembers(arg json.RawMessage) error {
	var members []cluster.Member
	if err := json.Unmarshal(arg, &members); err != nil {
		return im.Errorf(im.Invalid, "not a list of nodes: %w", err)
	}
	n.route.Update(members, cluster.NewTable(members))
	n.resettle(members)
	return nil
}

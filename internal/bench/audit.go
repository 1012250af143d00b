package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skein-im/skein/client"
	"github.com/skein-im/skein/internal/bench/swarm"
	"github.com/skein-im/skein/internal/im"
)

// counters are what the server knows of a user's messages.
type counters struct{ sent, received uint64 }

// Audit compares the server's books with those of the devices.
type Audit struct {
	// Admitted messages were acknowledged, Received ones have arrived.
	Admitted uint64 `json:"admitted"`
	Received uint64 `json:"received"`
	// ServerSent and ServerReceived are the same by the server's counters.
	ServerSent     uint64 `json:"server_sent"`
	ServerReceived uint64 `json:"server_received"`
	// Differing is how many users' four numbers do not agree.
	Differing int `json:"differing"`
	// Wrong messages came twice, out of order, from somebody else or
	// damaged.
	Wrong uint64 `json:"wrong"`
}

func (a *Audit) good() bool { return a.Differing == 0 && a.Wrong == 0 }

// counters asks for the counters of all users, by number of the connection.
func (c *crowd) counters(ctx context.Context) ([]counters, error) {
	c.say("reading the server's books of %d users", c.cfg.Conns)
	list := make([]counters, c.cfg.Conns)
	anyone := client.NewAPI(c.target.HTTP, "", c.target.http)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(apiConns)
	for i := range list {
		group.Go(func() error {
			me := anyone.WithToken(swarm.Token(c.cfg.Seed, c.first+im.UserID(i)))
			return retry(gctx, func() error {
				n, err := me.Counters(gctx)
				list[i] = counters{n.GetSendId(), n.GetRecvId()}
				return err
			})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("reading the server's books: %w", err)
	}
	return list, nil
}

// verify compares the books. Messages on their way get some time.
func (r *overloading) verify(ctx context.Context) error {
	if r.cfg.What != swarm.Sends {
		return nil
	}
	for deadline := time.Now().Add(r.cfg.AnswerTimeout); ; {
		after, err := r.counters(ctx)
		if err != nil {
			return err
		}
		books, err := r.swarm.Collect(ctx)
		if err != nil {
			return err
		}
		r.res.Audit = compareCounters(r.before, after, books)
		r.res.Audit.Wrong = r.swarm.Status().Books.Wrong
		if r.res.Audit.good() || time.Now().After(deadline) || !pause(ctx, settle) {
			return ctx.Err()
		}
	}
}

// compareCounters compares the server's books, as they were before and are after, with
// those of the devices.
func compareCounters(before, after []counters, books *swarm.Collection) *Audit {
	a := new(Audit)
	for i := range after {
		friend := int(swarm.Friend(0, im.UserID(i)))
		sent, received := after[i].sent-before[i].sent, after[friend].received-before[friend].received
		a.ServerSent += sent
		a.ServerReceived += received
		a.Admitted += books.Admitted[i]
		a.Received += books.Received[friend]
		if sent != books.Admitted[i] || received != sent || books.Received[friend] != sent {
			a.Differing++
		}
	}
	return a
}

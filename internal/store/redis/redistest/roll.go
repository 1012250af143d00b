package redistest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/skein-im/skein/internal/child"
)

// RestartInOrder restarts a server as an operator does for an upgrade: a primary
// hands its slots to a replica first. It returns when the server follows again.
func (c *Cluster) RestartInOrder(ctx context.Context, s *Server) error {
	role, err := s.Info(ctx, "role")
	if err != nil {
		return err
	}
	if role == "master" {
		if err := c.handOver(ctx, s); err != nil {
			return fmt.Errorf("%s hands over: %w", s.Addr, err)
		}
	}
	// The answer is that the connection ends.
	_, _ = s.Do(ctx, "SHUTDOWN", "NOSAVE")
	select {
	case <-s.Ended():
	case <-ctx.Done():
		return fmt.Errorf("%s does not end: %w", s.Addr, context.Cause(ctx))
	}
	if err := s.Restart(); err != nil {
		return err
	}
	return c.AwaitReady(ctx)
}

// handOver makes one of a primary's replicas the primary.
func (c *Cluster) handOver(ctx context.Context, primary *Server) error {
	m, err := primary.Do(ctx, "CLUSTER", "REPLICAS", primary.ID)
	if err != nil {
		return err
	}
	list, err := m.AsStrSlice()
	if err != nil || len(list) == 0 {
		return fmt.Errorf("its replicas are %v: %w", list, err)
	}
	i := slices.IndexFunc(c.Servers, func(s *Server) bool { return strings.HasPrefix(list[0], s.ID) })
	if _, err := c.Servers[i].Do(ctx, "CLUSTER", "FAILOVER"); err != nil {
		return err
	}
	return child.Poll(ctx, func() error {
		role, err := primary.Info(ctx, "role")
		if err == nil && role == "master" {
			err = fmt.Errorf("%s has not taken over yet", c.Servers[i].Addr)
		}
		return err
	})
}

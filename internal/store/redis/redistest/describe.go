package redistest

import (
	"context"
	"fmt"
	"strings"
)

// Describe says what each server knows of its replicas and of the cluster, for the
// test that waits in vain.
func (c *Cluster) Describe(ctx context.Context) string {
	var b strings.Builder
	for _, s := range c.Servers {
		if s.Down() {
			fmt.Fprintf(&b, "%s is down\n", s.Addr)
			continue
		}
		fmt.Fprintf(&b, "%s\n", s.Addr)
		for _, args := range [][]string{{"INFO", "replication"}, {"CLUSTER", "NODES"}} {
			m, err := s.Do(ctx, args...)
			text := ""
			if err == nil {
				text, err = m.ToString()
			}
			fmt.Fprintf(&b, "%s\n", strings.ReplaceAll(strings.TrimPrefix(text, "txt:"), "\r", ""))
			if err != nil {
				fmt.Fprintf(&b, "%s: %v\n", args[0], err)
			}
		}
	}
	return b.String()
}

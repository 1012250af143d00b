package pgtest

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// questions are what a server that a test waits for in vain is asked.
var questions = []string{
	"SELECT concat_ws(' ', 'recovery', pg_is_in_recovery(), 'waits for', current_setting('synchronous_standby_names'), 'follows', current_setting('primary_conninfo'))",
	"SELECT concat_ws(' ', 'standby', application_name, state, sync_state, 'sent', sent_lsn, 'flushed', flush_lsn) FROM pg_stat_replication",
	"SELECT concat_ws(' ', 'receives from', sender_port, status, 'flushed', flushed_lsn) FROM pg_stat_wal_receiver",
	"SELECT concat_ws(' ', 'session', pid, state, wait_event_type, wait_event, now() - xact_start) FROM pg_stat_activity WHERE application_name = 'skein' AND state <> 'idle'",
}

// Describe says what each server knows of its part in the cluster, and who waits
// there, for the test that waits in vain.
func (c *Cluster) Describe(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var b strings.Builder
	for _, s := range c.Servers {
		if s.Down() {
			fmt.Fprintf(&b, "%s is down\n", s.Name)
			continue
		}
		fmt.Fprintf(&b, "%s at %s\n", s.Name, s.Addr)
		for _, sql := range questions {
			rows, err := s.Query(ctx, sql)
			if err != nil {
				fmt.Fprintf(&b, "\t%v\n", err)
			}
			for _, row := range rows {
				fmt.Fprintf(&b, "\t%s\n", row)
			}
		}
	}
	return b.String()
}

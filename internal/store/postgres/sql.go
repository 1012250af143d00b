package postgres

import (
	_ "embed" // tables and functions
	"strings"
)

//go:embed tables.sql
var tablesSQL string

//go:embed functions.sql
var functionsSQL string

// statement is one that connections prepare, under its name.
type statement struct{ name, sql string }

// ownedBy begins every read of a slot: who owns it comes with each row, as of the
// same moment, and there is a row even if nothing else is there.
const ownedBy = "SELECT o.epoch, o.writer, "

var (
	sqlCommit = &statement{"commit", "SELECT commit_1($1" + placeholders(2, 22) + ")"}

	sqlAcquire = &statement{"acquire", "SELECT got, under FROM acquire_1($1, $2, $3, $4)"}
	sqlOwners  = &statement{"owners", "SELECT slot, epoch, node FROM owners WHERE slot = ANY ($1)"}
	// sqlEvict ends the sessions that have the lock of a slot's owner and wait for
	// nothing that goes on by itself: neither standbys nor another lock.
	sqlEvict = &statement{"evict", `SELECT count(pg_terminate_backend(l.pid))
		FROM (SELECT DISTINCT writer FROM owners WHERE slot = ANY ($1) AND writer <> 0) w
		JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
			AND l.classid::bigint = w.writer >> 32 AND l.objid::bigint = w.writer & 4294967295
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		JOIN pg_stat_activity a ON a.pid = l.pid AND a.wait_event IS DISTINCT FROM 'SyncRep'
			AND a.wait_event_type IS DISTINCT FROM 'Lock' AND a.pid <> pg_backend_pid()`}

	sqlRecords = &statement{"records", ownedBy + `r.key, r.value FROM owners o
		LEFT JOIN records r ON r.slot = o.slot AND r.kind = $2 AND r.id = $3 WHERE o.slot = $1 ORDER BY r.key`}
	sqlEntries = &statement{"entries", ownedBy + `x.number, x.content FROM owners o
		LEFT JOIN LATERAL read_1($1, $2, $3, $4, $5, $6) x ON true WHERE o.slot = $1`}
	sqlPending = &statement{"pending", ownedBy + `p.kind, p.id FROM owners o
		LEFT JOIN pending p ON p.slot = o.slot WHERE o.slot = $1`}

	// sqlTouch leaves something in the log, so that the transaction ends when
	// standbys have it.
	sqlTouch = &statement{"touch", "SELECT pg_logical_emit_message(true, 'skein', '')"}
	// sqlStandbys is asked after a transaction: its name for what the server
	// waited for.
	sqlStandbys = &statement{"standbys", "SELECT current_setting('synchronous_standby_names')"}
	// sqlUnconfirmed lets the transaction end before its log is on any disk.
	sqlUnconfirmed = &statement{"unconfirmed", "SELECT set_config('synchronous_commit', 'off', true)"}

	sqlPutMember = &statement{"put_member", `INSERT INTO members (node, value, expires)
		VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 millisecond')
		ON CONFLICT (node) DO UPDATE SET value = excluded.value, expires = excluded.expires`}
	sqlDeleteMember = &statement{"delete_member", "DELETE FROM members WHERE node = $1 OR expires <= clock_timestamp()"}
	sqlMembers      = &statement{"members", "SELECT node, value FROM members WHERE expires > clock_timestamp()"}

	// sqlList looks for the next entity behind the last one, again and again:
	// a log's other entries are passed over.
	sqlList = &statement{"list", `WITH RECURSIVE
		logs (kind, id) AS (
			(SELECT kind, id FROM entries WHERE slot = $1 ORDER BY kind, id LIMIT 1)
			UNION ALL SELECT n.kind, n.id FROM logs l, LATERAL (
				SELECT e.kind, e.id FROM entries e WHERE e.slot = $1 AND (e.kind, e.id) > (l.kind, l.id) ORDER BY e.kind, e.id LIMIT 1) n),
		recs (kind, id) AS (
			(SELECT kind, id FROM records WHERE slot = $1 ORDER BY kind, id LIMIT 1)
			UNION ALL SELECT n.kind, n.id FROM recs r, LATERAL (
				SELECT e.kind, e.id FROM records e WHERE e.slot = $1 AND (e.kind, e.id) > (r.kind, r.id) ORDER BY e.kind, e.id LIMIT 1) n)
		SELECT kind, id FROM logs UNION SELECT kind, id FROM recs`}
)

// statements are all of them.
var statements = []*statement{
	sqlCommit, sqlAcquire, sqlOwners, sqlEvict, sqlRecords, sqlEntries, sqlPending, sqlTouch, sqlStandbys,
	sqlUnconfirmed, sqlPutMember, sqlDeleteMember, sqlMembers, sqlList,
}

// placeholders are ", $2, $3" and so on.
func placeholders(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		b.WriteString(", $")
		if i >= 10 {
			b.WriteByte(byte('0' + i/10))
		}
		b.WriteByte(byte('0' + i%10))
	}
	return b.String()
}

// settings are those of every session. Plans must not rest on how large tables
// happened to be when a plan was made: everything is found by its key.
func settings(schema string) map[string]string {
	return map[string]string{
		"application_name": "skein", "search_path": schema, "synchronous_commit": "on", "default_transaction_isolation": "read committed",
		"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
		"enable_bitmapscan": "off", "jit": "off", "max_parallel_workers_per_gather": "0",
		"lock_timeout": "1000", "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
	}
}

// Package postgres is the engine for several nodes that keeps entities in
// PostgreSQL, version 13 or later: a server, or a primary with standbys.
//
// It owns a schema. What the servers persist is theirs; docs/STORAGE.md says how
// they must be set up and what that is worth.
//
// # Tables
//
// tables.sql has them: owners, a row for each slot; entries and records of
// entities; pending marks; members; and the version of the format. Everything
// is found by a primary key that begins with the slot.
//
// # Commits
//
// A batch is one call of the function commit_1 with arrays as parameters, in a
// transaction and a round trip of its own. It compares the epochs, checks that
// every log ends where the owner believes, and only then writes. If some slots
// have another owner it writes nothing and names them, and the rest is sent
// again without them. As many commits run at a time as there are connections.
//
// The commits of a store share a lock in the server, which is taken alone by
// whoever acquires slots from it: the acquisition waits for the commits under
// way, and those that come later see it. Nothing is written for that.
//
// The server's answer is believed when it came without a warning: the one that
// somebody has put an end to the waiting for standbys is how the server says
// that a write is done and may be lost. With the answer comes what the server
// waits for; if those are fewer standbys than wanted, the write counts as
// unconfirmed too.
//
// What a server refuses without having done it, because it has been demoted or a
// lock is taken, is tried again for a limited time, as is reaching a primary.
// What was sent and not answered is never sent again: Commit says that its fate
// is unknown, and the store then refuses further commits for the slots concerned
// until they are acquired again. By then the lost commit has either happened,
// and is found, or never will.
//
// # Servers
//
// Of the servers in the URL, the primary is the one that takes writes, and of
// several the one that was promoted last. It is looked for when a connection
// breaks, a server is read-only or standbys do not confirm, among all of them at
// once. An old primary that comes back is not taken: its timeline is older.
//
// # Invariants
//
//   - nil from Commit: all of it is on the primary's disk, and on those of as
//     many standbys as are wanted.
//   - A commit under an older epoch is refused, and so is one of another store
//     under the same epoch.
//   - Reads return durable data only. The owner of a slot waits for its own
//     commit under way; what earlier owners wrote was confirmed with the
//     acquisition, because it comes before in the server's log. Anybody else
//     writes something to that log with the read, and waits for standbys to
//     confirm it.
//   - A log never grows after a hole: should servers lose acknowledged entries,
//     the next append by the owner who wrote them is refused, counted and
//     logged.
//
// # Bounds
//
// A call takes at most Options.Timeout, an exchange with a server at most
// Options.ReplyTimeout and a moment to end it. Connections are bounded: further
// calls wait for one, and get it in the order they came.
//
// # When it dies
//
// Nothing is in this process that matters. When the primary dies, commits fail
// until another server has been promoted, which is for somebody else to do.
package postgres

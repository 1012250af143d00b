// Package redis is the engine for several nodes: it keeps entities in a Redis
// or Valkey server, version 7.0 or later, or in a Cluster of them.
//
// It owns the keys with its prefix. What the servers persist is theirs; docs/STORAGE.md
// says how they must be set up and what that is worth.
//
// # Keys
//
// All keys of a slot carry its hash tag, so they lie in one Redis slot:
//
//	skein:{s0042}e       string: the slot's epoch, a token, the owner
//	skein:{s0042}l:1:7   list: a log. The first element is how many entries have
//	                     been trimmed, the others are entries
//	skein:{s0042}r:1:7   hash: an entity's records
//	skein:{s0042}p       set: the entities marked pending
//	skein:{members}...   the members, and the format
//
// A list costs a few bytes for an entry beyond its value, and an append to its
// end is the cheapest write that Redis has; a log is read from its end nearly
// always.
//
// # Commits
//
// A slot's part of a batch is one script: it compares the epoch, checks that
// every log ends where the owner believes, and only then writes. Scripts for
// one server go out in one piece on a connection of their own, followed by
// WAIT, so a commit is one round trip and one wait for all its slots. As many
// commits run on a server as there are connections.
//
// What a server refuses without having run it, because slots move or it has
// been demoted, is tried again where it belongs, for a limited time. What was
// sent and not answered is never sent again: Commit says that its fate is
// unknown, and the store then refuses further commits for the slots concerned
// until they are acquired again. By then the lost commit has either happened,
// and is found, or is fenced. So a commit that comes twice is a mistake, and
// refused as one, like every append that does not follow the last entry.
//
// # Invariants
//
//   - nil from Commit: each server concerned has written all of it to its log,
//     if it is set up to, and the configured number of replicas have it; with
//     AllReplicas, as many as any primary of the cluster has had; with
//     ElectableReplicas, all that could take its place, and at least one.
//   - A commit under an older epoch is refused, and so is one under the same
//     epoch by an owner whose acquisition a failover has lost: the token
//     differs.
//   - Reads return durable data only. The owner of a slot waits for its own
//     commit under way; what earlier owners wrote was confirmed with the
//     acquisition, because it comes before on its way to the replicas. Anybody
//     else writes to the slot before reading, and waits for replicas to
//     confirm that.
//   - Nothing is acknowledged over a connection to a server whose settings were not
//     looked at since that was made. Servers may be away when a store is opened,
//     but for the one with the members: it is told in the log, and Place tells
//     which slots that concerns.
//   - A log never grows after a hole: should servers lose acknowledged entries,
//     the next append by the owner who wrote them is refused, counted and
//     logged.
//
// # Bounds
//
// A call takes at most Options.Timeout, an exchange with one server at most
// Options.ReplyTimeout. Connections per server are bounded; further calls wait
// for one, and get it in the order they came. Clients of servers that have left a cluster are kept until Close.
//
// # When it dies
//
// Nothing is in this process that matters. When a server dies, commits for its
// slots fail until the cluster has promoted a replica.
package redis

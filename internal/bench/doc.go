// Package bench puts load on a server and checks what comes out: every message
// at every device of its receiver, once and in order.
//
// # What it owns
//
// Data sets (who is whose friend, made from a seed), the order in which users
// write, the devices that write and read, the ledger of what they received,
// and, unless it is pointed at a server, a server process of its own, which it
// starts and stops.
//
// # What it persists
//
// Nothing but the data directory of its own server, when it is told to keep
// it.
//
// # Invariants
//
// A message is sent when its turn in the schedule comes and is numbered among
// those from its sender to its receiver; number, sender, receiver, time and a
// checksum travel in the body. A run counts as good only if nothing is lost,
// duplicated, reordered or damaged. With a rate, message k is due at
// t0 + k/rate whatever the server does, and latencies count from there.
// Servers that die during a run change none of this.
//
// # Queues
//
// Without a rate, a user has a window of unanswered messages. With one, what
// the server has not taken waits in memory: the plan of the run bounds it.
//
// # When it dies
//
// The server it started dies with it on Linux; elsewhere it stays.
package bench

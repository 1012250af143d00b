// Package bench puts load on a server and checks what comes out: every message
// at every device of its receiver, once and in order; every connection kept,
// every request answered, every push received; every cent where both sides say
// that it is.
//
// # What it owns
//
// Data sets (who is whose friend, made from a seed), the order in which users
// write, the devices that write and read, the ledger of what they received,
// and, unless it is pointed at a server, a server process of its own, which it
// starts and stops. Where there are more connections than a process can have,
// the devices are those of package swarm, in processes of their own.
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
// A run of Connect counts as good only if no connection was lost once it had
// logged in, and no answer or push is missing. One of Overload, if what was
// admitted by the devices' books has been sent and received by the server's,
// user by user, and has arrived; what was shed is given up and not repeated.
// One of Envelopes, if every shake was answered and every envelope sent and
// opened, if what devices were told is what arrived in their wallets and what
// campaigns, envelopes and wallets say at the server, to the cent, and if the
// audit of an own server's store finds nothing.
// Memory and processor time of a server are those of its process and of all
// that it has started.
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

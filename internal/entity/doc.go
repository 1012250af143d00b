// Package entity holds the state machines that everything in Skein is made
// of: users' mailboxes, name bindings, the allocator of user identifiers.
//
// An entity is pure. It takes commands and link messages, and puts what
// follows from them into a Tx: log entries, records, link messages to other
// entities, reads it needs. It knows no clock, network, disk or goroutine; the
// caller (package shard, or the simulator) hands in time and randomness and
// sees to it that nothing in the Tx leaves the process before its changes are
// durable.
//
// # What is persisted
//
// A user's log is the truth: every step of the user is one Event in it, and
// replaying the log rebuilds everything but what is listed next. Snapshots
// (records "h", "p....", "d........") shorten the replay and keep what has no
// event of its own: link acks and device cursors, which may be lost and come
// again, and devices, provisioned friendships and their like, whose commands
// write a snapshot in the same commit. Sends that arrived before their
// predecessors are records of their own ("e........").
//
// # Links
//
// Messages from one entity to another carry dense sequence numbers. The
// sender keeps where each unacknowledged one stands in its log, and sends
// again, with backoff, until the peer has acknowledged it; the receiver takes
// each number once, in order, and acknowledges after the durable commit. So a
// message that is lost, repeated, delayed or reordered on the way still takes
// effect exactly once and in order.
//
// # Invariants
//
// The state after replaying snapshot and log equals the live state, but for
// acks and cursors. Counters never go back. An entity changes only through
// its own log and records.
//
// # When it dies
//
// Nothing is lost: the next owner loads snapshot and log, and unacknowledged
// messages are sent again.
package entity

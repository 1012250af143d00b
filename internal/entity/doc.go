// Package entity holds the state machines that everything in Skein is made
// of: users' mailboxes and wallets, envelopes, campaigns, payments, name
// bindings, the allocator of user identifiers.
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
// A user's dealings with envelopes, campaigns and payments are records of their
// own ("w.................."), which are forgotten long after these have ended.
//
// How far back the log goes is up to the caller (Retention). Its beginning is let
// go of in snapshots, never so far that a message without an ack goes, or the last
// entry; nor, as long as its device has not been away for too long, one that a
// device has not acknowledged.
//
// # Money
//
// It is in wallets, which are part of users, and in purses: envelopes, campaigns
// and payments. A purse has a log of its own, whose entries are PurseEvents, a
// snapshot of its head ("h") and of its links with users, in pages of 64
// ("p...."), of which a snapshot writes those that changed. Money goes from
// wallet to purse and back in link messages only, so it is in one place at any
// time: at its sender until the event that sends it, at its receiver from the
// event that takes it, in flight in between.
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
// A store that has lost its end gives the lost numbers out again, in another
// generation (ADR 10). So messages say of which generations their numbers are
// (Lineage), a number is compared only with those of the same one, what a receiver
// has lost is sent again from the sender's log, and links of money stop of which one
// end has lost what the other knows. In the first generation there is nothing of this.
//
// # Invariants
//
// The state after replaying snapshot and log equals the live state, but for
// acks and cursors. Counters never go back. An entity changes only through
// its own log and records. What a wallet or purse holds is the sum of its log,
// and never less than nothing; what one end of a link takes is what the other
// has sent. A purse refuses to replay a log whose events do not follow.
//
// # Bounds
//
// A user has to do with im.MaxContacts others. Purses that a user knows are
// bounded by what friends send in im.WalletMemory and the longest lifetime. A
// line remembers maxForks generations, and sends at most maxAgain messages again. An
// envelope is bounded by im.MaxReceivers, the head of a campaign by what is lent
// at a time and the last lease's block, its pages by its winners.
//
// # When it dies
//
// Nothing is lost: the next owner loads snapshot and log, and unacknowledged
// messages are sent again.
package entity

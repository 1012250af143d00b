// Package shard runs entities. A Core owns many of them: it takes commands and
// link messages, applies them, cuts what has changed into one batch for the
// store, and releases replies, deliveries and link messages only when that
// batch is durable. A Shard is a goroutine around a Core, with a bounded queue
// before it, a committer beside it and timers.
//
// The Core knows no goroutine, clock or store, so the simulator runs it as it
// is, on virtual time.
//
// # What it owns
//
// The entities of its slots that are in memory (all others are in the store
// only), the sessions of their devices, retransmission timers, and the parts
// of the pipeline: at most one batch in the store at a time, and one being
// filled.
//
// # Invariants
//
// Nothing leaves an entity before what it rests on is durable. Effects of one
// entity are released in the order they happened. A session gets a timeline's
// entries densely, each once, and never more than its window, unless its
// device asks for some again or says that it has more already; in place of those
// that are no longer kept it gets one that says so. If part of a
// batch is refused, the entities concerned are forgotten, with whatever was
// built on the refused part, and their callers are told to retry.
//
// # Duties of the caller
//
// A slot is owned under the epoch of its last acquisition only, and given up
// when another node is to have it: by Leave, which finishes what was taken and
// writes snapshots first, or by Disown, when another node has it already. Where several nodes share a store, Confirm
// is on, and a node asks now and then whether its slots are still its own: one
// that has nothing to commit does not learn that another node had a slot for a
// moment, and left messages in it that nobody sends.
//
// # Queues
//
// The queue is bounded, in inputs and in bytes. Commands are refused with Busy
// when it is half full; link messages are dropped, and counted, when it is
// full: their senders retransmit. Before that, a Controller of package admit
// sheds commands by their importance, heeding how long they wait until their
// processing starts; that includes the wait for the entity to be loaded. Link
// messages are never shed: they follow from commands that were admitted, and
// the Controller counts them as work. The time of commits is not a wait, since a
// slow disk is not an overloaded one; but when batches take too long, they are
// made smaller, and what does not fit waits in the queue.
//
// How many inputs, and bytes of them, may wait for their entities to be loaded
// is bounded too; further ones wait in the queue. A user has at most one link
// per device and maxPolls long polls, each with a bounded window.
//
// # When it dies
//
// The next owner loads entities from the store as they are asked for, and
// those with unacknowledged messages at once.
package shard

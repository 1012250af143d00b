// Package slots decides for a mailbox node which slots to acquire, which to hand
// over, and when.
//
// # What it owns
//
// How far each slot is from being served here, under which epoch it was acquired, and
// what the node has heard of the other nodes' acquisitions. It has no clock, no store
// and no goroutines: package mailbox asks what is to be done (Plan), does it, and says
// what came of it. So does the simulator.
//
// # What is persisted
//
// Nothing.
//
// # Invariants
//
// A slot is acquired only while it is wanted and not served, and by one acquisition at
// a time. One that another node serves that hands slots over is not taken from it
// by force before that has been waited for, once for each of its epochs; so nobody waits
// for ever. A slot counts as served when its shard has been told, not before.
//
// # Bounds
//
// A fixed number of bytes for each slot.
//
// # When it dies
//
// The node acquires its slots anew.
package slots

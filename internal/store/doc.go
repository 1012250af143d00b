// Package store says what Skein asks of the place that keeps its data. The
// engines are in its subpackages; storetest holds the suite that any
// engine must pass.
//
// Data belongs to entities, and entities live in slots. An entity has records
// (a key and a value each) and one log with dense sequences from 1. A node
// must acquire a slot before it writes to it; acquiring raises the slot's
// epoch, and commits that carry an older one are refused, so that of two
// nodes that believe they own a slot only the later can write.
//
// Invariants: what Commit returned nil for survives any crash the engine
// claims to survive; a slot's part of a batch is there whole or not at all;
// batches of one owner become durable in the order of their commits; a log
// never has holes.
package store

// Package pebble is the embedded engine: it keeps entities in one directory
// on the local disk, in a Pebble database that this process alone has open.
//
// It owns the directory. It persists records, logs, pending marks and the
// epochs of slots; the list of members it keeps in memory only, because the
// nodes that can use the directory live in this process and end with it.
//
// # Keys
//
// A commit costs CPU per key, so it writes few: a record is one key, and all
// entries a change appends are one key too, a chunk. Numbers are big endian.
//
//	e slot                      the slot's epoch and owner
//	l slot kind id last-seq     a chunk of a log: the entries up to last-seq
//	p slot kind id              the entity is marked pending
//	r slot kind id key          a record
//
// A chunk's key carries the sequence of its last entry, not its first: the
// chunk that holds a sequence is then the first one at or after it, one
// forward seek that the Bloom filters of the entity can answer.
//
// # Invariants
//
//   - nil from Commit: the write-ahead log has been synced beyond the batch.
//     Concurrent commits share syncs.
//   - A batch is one Pebble batch, so a crash keeps all of it or nothing, and
//     keeps batches in order.
//   - Epochs only rise. Acquire excludes commits, so no commit that was
//     checked against an older epoch takes effect after Acquire returned.
//   - Reads return durable data only: a read of a slot that has a commit in
//     flight waits for it.
//
// # When the disk fails
//
// Pebble ends the process when a write to its log or manifest fails: it
// panics with its mutexes held. This package lets no such error reach Pebble.
// A layer below it (disk) turns the first failed write, sync or creation into
// the death of the disk: the store is marked failed, and from then on every
// change to the disk is dropped while Pebble is told it succeeded. What
// stays on the disk is what a crash at that moment would have left, which
// opening the directory recovers from. Calls look at the mark after Pebble
// has returned, and report store.ErrFailed for whatever may not have reached
// the disk; so nothing hangs, nothing panics and nothing is acknowledged that
// is not durable. The state is final: close the store, repair the disk, open
// it again.
//
// # When data is damaged
//
// Every block, log record and manifest record carries a checksum. Damage that
// is found when opening or reading gives store.ErrCorrupt; a manifest damaged
// in the middle, which Pebble would take for its end, and a log with a hole
// are found as well. What cannot be told from a crash is a write-ahead log or
// manifest that ends early: then the newest batches may be missing.
//
// A panic inside Pebble while the store is open is a bug, and ends the process
// as any panic does; the directory survives it.
//
// When the process dies, opening the directory again finds everything that
// was acknowledged.
package pebble

// Package telemetry has the parts that measurements are made of: histograms
// that cost two additions to write, and sums over the processes of a node.
//
// # What it owns
//
// Histogram and Striped are written where the work is done, and read at a
// scrape. Counts is what is read, plain data that crosses process boundaries.
// Heavy finds the keys that are seen most. Total adds up the counters of worker processes and keeps what those that
// died have counted. What is measured, and under which name it is exported, is
// the business of those who measure and of package node.
//
// # What is persisted
//
// Nothing: counters begin at 0 with the process, as Prometheus expects.
//
// # Invariants
//
// Bounds are fixed, so that histograms of different parts and processes can be
// added. No write takes a lock or allocates. A sum of counters never goes back
// while the node lives, whatever its workers do.
//
// # Bounds
//
// A histogram has Buckets+1 numbers and a sum, whatever it is given.
//
// # When it dies
//
// It dies with the process; the next one counts from 0.
package telemetry

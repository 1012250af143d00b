// Package tenure keeps what a store that has its data on servers knows of the
// slots it has acquired, and takes its commits through what is the same for
// every such engine: who may still write, who must wait, and what is in doubt
// when a commit's fate is unknown.
//
// It owns the tenures of one store, a Book of them, and persists nothing: the
// servers have the epochs, and what is here says only what need not be asked
// there. What the servers hold, and how a commit and a read get there, is the
// engine's.
//
// # Invariants
//
//   - A slot's part of a batch is written under the tenure that this store
//     began last, or is fenced.
//   - After a commit that failed, nothing is written to its slots, and nothing
//     read of them is trusted, before they are acquired again.
//   - A read that Settled has approved has seen durable data only: the commit
//     that it may have seen had announced itself, and has been waited for.
//
// # Bounds
//
// A Book takes 64 KiB, and some bytes for each slot that was acquired. Commits
// take no lock; a read waits for one commit at most.
//
// # When it dies
//
// Nothing is lost: the process acquires its slots anew.
package tenure

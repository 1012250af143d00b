// Package standbys runs a region with a standby on virtual time, loses the region
// and goes on with the copy. It is for tests only. The nodes' Sources and the
// standby's Follower are those of production, with their goroutines and timers; the
// connections between them, both stores and what the nodes commit are models.
//
// One seed makes one run. It happens in a bubble of testing/synctest, whose clock
// the Sources' timers follow. Whatever a goroutine wants of a store or a connection
// it leaves with the run and waits; when all goroutines wait, the run takes what they
// have left in an order that no scheduler decides (by who wants what), and plans
// when it takes effect and when it is answered. Nothing happens at once but what one
// event sets off, and a node hears one frame at a time. So a run that fails, fails
// again:
//
//	go test ./internal/sim/standbys                            12 seeds (-short: 5), those that found something, the defects
//	go test ./internal/sim/standbys -run TestSeeds -seed=K     seed K, with its trace if it fails
//
// # A run
//
// Some nodes over one store acquire slots from each other, with fenced epochs, read,
// commit and trim, in sync or async mode; sometimes one writes without a Source, as
// a node for which no standby is set. At a random moment the region is lost, and the
// copy is promoted; if it is whole, it becomes the store of a region with a standby
// of its own, which is lost too. Some runs come to rest before that.
//
// # Faults
//
// Connections deliver late and in pieces, stall, break in the middle of a frame, and
// either end notices at its own time. Nodes crash, are slow, and cannot reach the
// standby. The region's store crashes; its commits fail though they took effect or
// will, its reads fail. The standby crashes; its commits fail, in whole or in part,
// or take effect after they have failed. Queues overflow, and slots are copied anew
// while they change.
//
// # What must hold
//
// At every commit of the copy (standby.go): a slot that is whole is what the region's
// slot was after exactly the commit that its number names, and the number of a slot
// that was whole never goes back. In the region, a number names one state. In sync
// mode, when a commit, an acquisition or a read returns: what it returned is in the
// copy. When the region is lost (check.go): in sync mode, everything that was ever
// returned is in the copy; in async mode no more commits are missing than the nodes'
// Stats showed as behind. A copy of which a slot is not whole is promoted only when
// that is asked for. At rest, the copy is what the region is, and nothing is queued
// or behind.
//
// Both stores hold their callers to the duties of package store: logs without
// holes, and no commit while another is under way.
//
// # Defects
//
// TestDefectsAreFound switches deliberate defects on (defect.go), and fails unless
// the invariants find each.
//
// The package owns no state beyond a run and persists nothing.
package standbys

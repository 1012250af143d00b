// Package rewinds lets stores lose their ends on virtual time: what an asynchronous
// standby lacks when its region is lost. It is for tests only. Entities and shards'
// cores are those of production; the network, stores and people are models.
//
// One seed makes one run. A single goroutine takes events off an agenda in the order
// of virtual time, and one generator makes every choice. So a run that fails, fails
// again:
//
//	go test ./internal/sim/rewinds                            60 seeds (-short: 30), and the defects
//	go test ./internal/sim/rewinds -run TestSeeds -seed=K     seed K, with its trace if it fails
//
// # A run
//
// One to three parts, each a store and the process that serves it, have a few users
// who write to each other and log in now and then. In the end all log in once more.
//
// # Faults
//
// A part is lost, up to three times in a run, with its process and all that is under
// way in it; a copy goes on in the next generation, in which some slots lack up to a
// dozen of their last commits, each as many as it happens. Processes crash without losing
// anything. Link messages are lost, repeated, overtaken, and arrive long after who
// sent them is no more. In some runs little of the logs is kept.
//
// # What must hold
//
// In the end (check.go): whatever stands in a sender's log has arrived, once and in
// order, but for what that log had let go of before the receiver lost it, which is
// counted; what else has arrived was in a log whose end is lost, and did so once; what
// was acknowledged, and is not part of a lost end, is where the answer said. Nothing
// is outstanding.
//
// # Defects
//
// TestDefectsAreFound switches deliberate defects on (defect.go), and fails unless the
// invariants find each.
//
// The package owns no state beyond a run and persists nothing.
package rewinds

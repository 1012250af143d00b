// Package regions runs several regions on virtual time, and moves users between
// them while they write to each other. It is for tests only. A region is one to three
// nodes over a store, each with a Region of its own, and in half of the runs one to three
// relays that are processes of their own. Entities, shards' cores and package region are
// those of production, and so are the nodes' way to relays (packages uplink and route) and
// what relays have in their queues (package relay); connections, role links, the networks
// within a region, placement, stores and people are models.
//
// One seed makes one run. Whatever happens is an event of an agenda; moves, which
// wait for answers, are goroutines, and the run goes on to the next event only
// when all of them wait (testing/synctest). An event lets one of them go on at the
// most: those who wait for the same user's move do so in a queue, and when a process
// dies, the moves that it was asked for are given up one by one. So a run that fails,
// fails again:
//
//	go test ./internal/sim/regions                            120 seeds (-short: 40), and the defects
//	go test ./internal/sim/regions -run TestSeeds -seed=K     seed K, with its trace if it fails
//
// # Faults
//
// Link messages between regions are lost, repeated and delayed, calls fail before
// or after they took effect, regions are cut off from each other. Regions crash,
// with what is not committed, at random moments and at any step of a move: when
// one is asked for, and before and after it is answered. So do nodes, alone.
//
// Relays die with all that they have, stand still until others take them for dead, and are cut
// off from the nodes, or from other regions, and come back; nodes hear late which there are.
// Connections between relays and links of nodes to them carry everything in order, and break:
// then what was under way is lost, or was taken and not confirmed. Queues of relays are
// short in some runs.
//
// Slots go from node to node, at random moments and at any step of a move. Those
// concerned hear of it late and in any order, so that two serve one slot, the older
// of which the store refuses and an audit finds; who gives a slot up hands it over,
// or drops it. Devices, other regions and other nodes' messages come to any node,
// which may know less of where users live than others. Several moves of a user are
// asked for at once, by the same node or different ones, and two users of different
// regions are to move to where the other one is at the same moment.
//
// # What must hold
//
// In the end every answered send stands in its sender's log, at the sequence of
// its answer, once; everything that a user sent to another has arrived there once,
// in order; every move has ended, and every user lives in exactly one region,
// the one that the directory names; the money that came in is in the wallets; every
// node knows that its relays are connected. At every commit (check.go): the version of a
// home never goes back, and one version names one region. Whenever a message is acknowledged
// to its sender, its receiver has it in a store: nothing on the way, no relay, may be the
// only one that does.
//
// # Defects
//
// TestDefectsAreFound switches deliberate defects on (defect.go), and fails unless
// the invariants find each.
//
// The package owns no state beyond a run and persists nothing.
package regions

// Package sim runs whole clusters on virtual time: nodes with their shards,
// gateways, devices, the links between them and a store that crashes. It is
// for tests only. Shards, gateways with their routing, their desks for shaking and
// the clients' core are those of production; networks, the store and the people are models.
//
// One seed makes one run. A single goroutine takes events off an agenda in the
// order of virtual time; one generator, seeded once, makes every choice; the
// cores are those of production, driven step by step as package shard's
// goroutine drives them. So a run that fails, fails again:
//
//	go test ./internal/sim                            1,000 seeds (-short: 100), and the defects
//	go test ./internal/sim -run TestSeeds -seeds=N    N seeds
//	go test ./internal/sim -run TestSeeds -seed=K     seed K, with its trace if it fails
//
// The trace tells everything that happened: what became durable, link
// messages, deliveries, answers, faults. Begin with the last line and search
// backwards for the user it names.
//
// # A run
//
// A seed draws a plan (plan.go): how large the cluster is, how tight its
// limits are, which faults there are and how many. Users are provisioned in
// peace; then they write, take contact steps, repeat themselves, change
// devices and switch them off, some number their messages as the article does,
// and meanwhile the plan's faults happen. In most runs there is money too
// (money.go, booth.go): it comes in and is withdrawn, envelopes are sent, opened,
// and left to expire, SETs deal with a campaign, and people ask nodes that are
// about to lose a slot. At the end the faults stop, the cluster gets a few
// minutes to finish everything, and is judged.
//
// # Faults
//
// Link messages are lost, repeated, delayed and overtaken, nodes partitioned
// from each other. Nodes crash, stall, and are cut off from the store; clocks
// differ and jump. The store crashes and loses what is not synced, or part of
// it; commits fail though they took effect, or take effect after they failed;
// reads fail; disks are slow. Slots move at any time, for no reason, and those
// concerned hear of it late and in any order, so that two nodes serve one slot
// at once; who gives one up hands it over in order, or not. Nodes wait for each other
// to hand over slots (package mailbox/slots), and miss who is there and what is said of slots, or
// hear it late. Nodes drain, leave and
// join again, two start at one moment, and operators pin slots and give a version its
// share: then package cluster says where slots belong. Role links between gateways and
// nodes stall, and break with something under way in either direction; either side
// notices sooner or later.
// Connections break likewise, or stay half open: the gateway keeps a session for
// long whose device is connected elsewhere. Devices log in twice, gateways die,
// requests get lost.
//
// # What must hold
//
// At every step (ledger.go, tie.go, conn.go, device.go): commits extend logs densely
// and under the current epoch; every link is taken densely, and only what is
// durable at its sender; a message becomes durable once, is received or
// refused once, in order, as it was sent, with the trace that it was sent with; a client_seq has one answer, and no
// answer rests on what is not durable; a device is shown only what is durable,
// densely and within its window; nothing is let go of that a receiver or a device still
// has to get (history.go), and a device is told of what is gone; counters never go back. A connection that lives
// on sees each entry once and in order, whatever happens behind its gateway; each
// of its sends is answered once, and none overtakes another; a device's newest
// login is not replaced by the resumption of an older one.
//
// Of slots (handover.go): what another node has that is there is not taken from it
// before it says that it has handed it over, unless it has been waited for long enough,
// and then it is; nothing is committed to what has been handed over; an answer that names
// an owner names who acquired the slot under that epoch.
//
// Of money (moneyledger.go): whatever became durable, all that came in is held by
// somebody, in flight, or went out; no balance is negative, and every statement
// is a chain that adds up; each share and each envelope is given out once, as it
// was split, to whom it may go, in time, while its lease is current, at the rate
// and within the limit; what ends returns exactly the rest; answers rest on what
// is durable, and stay the same.
//
// In the end (settle.go, moneysettle.go): every message was received, or came
// back; every device has its user's whole log; every answer holds; nothing is outstanding
// and every counter has caught up; every mailbox has the sessions of those who
// are connected, and no others; friendship is mutual, and a request has somebody
// who waits for the answer; the state in memory is that in the store. Every
// envelope and campaign has ended, no money is under way, what was promised has
// happened, and the operator's audit finds the same. Slots are served where the
// operator wants them.
//
// At desks (desk.go): a lease is claimed for one user, and not after it has
// expired; nobody hears of a win that is not durable; every shake at a gateway
// that lives on is answered once; the fate of every lease is known in the end.
//
// # Defects
//
// TestDefectsAreFound switches deliberate defects on (defect.go, faulty.go,
// moneyfault.go, spoil.go), one at a time, and fails unless the invariants above
// find each. An invariant or fault that finds nothing is worth nothing.
//
// The package owns no state beyond a run and persists nothing.
package sim

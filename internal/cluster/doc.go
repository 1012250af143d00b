// Package cluster says who is there and who owns which slots: the records of
// nodes in the store, and the placement that everyone works out of them for
// himself.
//
// # What it owns
//
// A Membership keeps one node's record fresh and reads those of the others. A
// Table is a placement: a function of the records alone, so that nodes that
// read the same records agree without asking each other. Nodes that do not,
// for a moment, may both believe that they own a slot: the store's epochs
// decide then, and nothing here is relied on for safety.
//
// # What is persisted
//
// One record per node, which expires unless it is refreshed, and one with the
// operator's Policy.
//
// # Invariants
//
// Slots go to mailbox nodes that are up, by rendezvous hashing with weights: a
// node that comes takes slots from all others in proportion, one that goes
// leaves them to all others in proportion, and no slot moves between two nodes
// that were there before and after. A node that is draining has no slots,
// unless nobody else is there. A Policy may pin slots to nodes, and give the nodes
// of one version a share of the slots.
//
// A node whose record is not refreshed is gone when that expires, or sooner if its
// address refuses connections, which is said to Refused.
//
// While the store cannot be reached, the last known members count, and those that
// are missing when it is back do so for another TTL: they could not refresh their
// records either. Of two processes with one name, the one that joined later has
// it.
//
// # When it dies
//
// A node whose record expires loses its slots to the others. A node that cannot
// reach the store cannot commit either, so it need not be told.
package cluster

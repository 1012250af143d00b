// Package uplink is a mailbox node's way to other regions where the region's relays
// are processes of their own.
//
// # What it owns
//
// For each other region a route.Mailbox over the relays that lead there: one role
// link per relay and region, so that a region that does not answer takes no room
// from the others. Update brings the relays, which are members of the cluster; a
// relay says itself, over its links, how it stands with a region and where that
// region's clients go.
//
// # What is persisted
//
// Nothing.
//
// # Which relay is used
//
// Slots are placed on relays as they are on mailbox nodes (cluster.Table): what is
// for one entity goes through one relay, and when a relay goes only what went through it
// takes another way. Relays count that are linked; if some of these are connected with
// the region, only those. A relay that has gone and come back is another one: what its last
// link says in the end does not count. A link that is lost takes its relay out at once: commands in flight
// are repeated at another one, messages that were on the way are lost and sent
// again by their entities. Open then hears that there is a way, so that what was
// sent in vain need not wait for timers.
//
// # Bounds
//
// maxRegions regions. What waits for a link is bounded by package remote, what
// waits for a relay by package route; link messages do not wait, they are dropped and
// counted.
//
// # When it dies
//
// Relays hold nothing for it.
package uplink

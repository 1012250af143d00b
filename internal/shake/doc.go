// Package shake answers the shakes of a gateway's users. A campaign lends
// envelopes to SETs, parts of gateway processes that share nothing with each
// other; a shake takes one from its user's SET, or is answered "nothing" at
// once. What is taken is claimed at the campaign, and only when that is durable
// does the user hear of it.
//
// # What it owns
//
// A Desk has some SETs, each with a lock of its own. A SET has a queue of leases
// for every campaign that is being shaken, and the claims of its users that are
// under way, one per user. One timer per campaign renews the leases of all SETs
// with one command, at a pace at which what a SET holds is what its users are
// likely to take until the next time; it stops some seconds after the last
// shake, and what is left goes back. There are no goroutines: everything happens
// on those of the callers, of the mailbox and of timers, and is deterministic.
//
// # What is persisted
//
// Nothing. Leases and what was won are the campaign's.
//
// # Invariants
//
// Nobody hears "won" before the claim is durable. A lease is claimed for one
// user; another gets it only after the campaign has said that the first one may
// not have it. No claim begins after its lease has expired: expiry is counted
// from when the leases were asked for, by this machine's monotonic clock, with a
// margin. A claim whose fate is unknown is repeated as it is.
//
// Every lease that came is in the end claimed, returned, expired here, refused
// as late, or given up with a claim whose fate stayed unknown: Stats counts each.
//
// # Bounds
//
// Config bounds leases of a queue, claims of a SET, campaigns, and shakes that
// wait for the first word of a campaign; beyond each a shake is answered Busy.
// What is known of campaigns that do not exist or are over is among what is
// bounded, and makes room first. A SET remembers the last 1,024 to 2,048 users whom
// a campaign has said to be at their limit, and answers those so at once. The
// campaign knows the others, but is not asked for a shake that finds nothing: such
// a user, or one who has won at another gateway, hears "nothing" until there is
// an envelope to try.
//
// # When it dies
//
// Leases that were not returned expire at the campaign. Claims that were made
// durable without an answer arrive in the wallets all the same.
package shake

// Package router is the role that says who serves what: it tells clients which
// gateways to connect to, and everybody which nodes there are, over HTTP.
//
// # What it owns
//
// Nothing but counters. What it says follows from the members that a
// cluster.Membership has read last; so any number of routers may run, and they
// say the same.
//
// # What is persisted
//
// The records of servers that are no nodes of this program, such as a Redis,
// which somebody registers by hand: they lie in the store among those of nodes,
// and expire.
//
// # Invariants
//
// Clients are never sent to a gateway that drains, or whose record has expired.
// A registration never replaces the record of a node.
//
// # Bounds
//
// maxAddresses in an answer, maxServices registered servers, all fields of
// bounded length. An address may make Config.Rate requests per second, and is refused
// as Busy beyond it; limitedAddrs are told apart. Requests hold no other state, and cost one pass over the members.
//
// # When it dies
//
// Clients ask another router, or use the addresses they have. While the store is
// away, a router goes on saying what it knew last, marked as stale, and takes no
// registrations.
package router

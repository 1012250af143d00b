// Package swarm is a load generator that plays very many devices: some hold
// connections and answer heartbeats, some send requests at a rate, some send
// messages to a friend, some shake for red envelopes, send and open them.
//
// # What it owns
//
// A Swarm owns its members. A member is a process of its own, the same program
// again, with one event loop and as many connections as the limit of open
// files and the ports of one source address allow. Connections are dealt out:
// member p of P has the connections p, p+P, p+2P and so on, whose users follow
// the same count. The parent writes orders to a member's standard input and
// reads reports from its standard output, both a line of JSON each. All times
// in them are of the system's monotonic clock, which the processes share.
//
// # What it persists
//
// Nothing. Tokens follow from a seed and the user, so nobody has to carry a
// million of them around.
//
// # Invariants
//
// Requests are sent when their time has come, whatever the server does, and
// their latencies count from there; by how much the generator itself was late
// has a histogram of its own. Over any N requests, N the number of
// connections, each connection has exactly one. An answer counts only for the
// request whose bytes it brings back, on the connection it was sent on.
// Messages count as received once, in the order in which their sender's were
// accepted; any other order is reported. What a device was told to have won or
// opened is booked apart from what its timeline says to have arrived. Sending
// and opening an envelope are repeated, with the same key, until the server has
// answered; a shake is not.
//
// # Bounds
//
// A connection costs its member 48 bytes and what package evloop takes, about
// 150 in all with what the allocator adds; one that sends messages 200 more,
// one that has had to do with money 170 more.
// A member has Connect.Window connections at a time that are not logged in yet.
// Statuses that the parent is too slow for are dropped, since the next one
// holds all they did.
//
// # When it dies
//
// Members end when their standard input does, so they do not outlive the
// parent. When one ends before that, the Swarm has failed, and says so to
// whoever waits for it.
package swarm

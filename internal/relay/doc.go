// Package relay is the role that carries link messages from region to region.
//
// A Relay dials every other region it is told of, and is dialled by them: what
// goes one way has a connection of its own. Messages leave in batches, which
// are compressed and numbered; what the other end has not confirmed is sent
// again over the next connection, and what it has already is thrown away there.
// A region may have several relays, and a Relay uses one of them: when that is
// out of reach, the next.
// Relays may lose, repeat and reorder messages nevertheless: entities' links
// make up for it. So nothing here is durable.
//
// A Relay is part of a mailbox's process, or of one of its own: it does not know
// which.
//
// What is decided is apart from who does it: an Outgoing has what is to leave for a region
// and what of it was confirmed, an Incoming what has come. They have no clock and no
// connections, so the simulator (internal/sim/regions) runs them too.
//
// Besides messages, relays carry role links (package remote), over which a
// region asks another for what is not a link message.
//
// # Who may connect
//
// Connections are TLS 1.3 with certificates at both ends, under one authority
// for all regions. A certificate names its region (ServerName), and it is by
// this name that a peer is known: which messages it sends, which role links it
// makes. A Relay accepts the regions that it is told of and no others. There is
// no relay without certificates, not even on loopback.
//
// # When a region is cut off
//
// What waits for a connection is bounded by MaxQueue; while a region has been
// out of reach for longer than Grace, messages to it are dropped at once and
// counted: entities keep them, and repeat them at most every 30 seconds per
// link. Which of them did so is remembered, up to MaxOwing, and they are asked to
// go on as soon as the region is back, a few at a time.
//
// A relay that takes messages and confirms none for Patience is left for another one
// of its region. Drain lets go of those who send, and waits until others have confirmed
// what they were sent.
//
// Who is dialled tells who dials where its region's clients go (Places), and again when
// that changes.
//
// # Bounds
//
// MaxQueue bytes of messages per region wait to be sent or confirmed. A batch
// has at most maxBatch bytes before compression, and what a peer sends is never
// unpacked to more. Of a region, the last batches of maxStreams processes are
// remembered. Connections in their handshake: maxHandshakes, each for
// HandshakeTimeout.
//
// # When it dies
//
// What it had is lost and sent again by the entities.
package relay

// Package region makes the mailbox of one region part of several. Each region is
// a cluster with a store of its own; each user lives in one of them.
//
// # Who knows where users live
//
// One region keeps the directory: for every user an entity (im.KindHome) that
// holds the region and a version, which grows with every move. It keeps the user
// names, the identifiers that are given out, and all envelopes, campaigns and
// payments as well. Every other region has copies of the homes it has asked for,
// in entities of the same kind, and in front of them a cache in memory. A copy may
// be behind; then a message comes to a region that the user has left, which knows
// better, passes it on once and corrects the region that sent it.
//
// Nobody is created without the directory having said that the identifier is
// free: what comes for a user whom it does not know waits in the outbox of who
// sent it.
//
// # What it owns
//
// A Region stands between those who ask (gateways, the HTTP API) and the mailbox:
// commands for users who live here go there, for others they are answered with
// im.Moved and the addresses of their region; commands for what only the
// directory's region has go there over a role link. The mailbox asks it about
// each link message that leaves an entity, and the relay gives it those that come.
//
// It moves users (move.go): the entity's file residence.go says how. A departure
// that was begun is gone on with after any crash.
//
// # Several nodes
//
// If nodes share the region's store, each has a Region before its own mailbox.
// Gateways ask the one of the node that serves an entity. What a Region itself
// asks for, and what other regions ask, goes past the others' Regions to the
// mailbox that serves it (Config.Whole), and messages that arrive go there too
// (Config.Carry). Each remembers homes by itself and may be behind: so it reads
// the own copy again before it refuses a command, turns a message away or keeps word of a
// move for somebody here. Word of a
// move goes to the node whose entity sent something in vain, by way of the region
// where that entity lives now if it has moved as well.
//
// A relay in a process of its own has a Region, too, but no mailbox (Config.Local): what
// comes from other regions is found a home for and taken to the node that serves it, as in a
// mailbox node for the slots of others.
//
// # What is persisted
//
// Nothing but through entities.
//
// # Bounds
//
// maxWaiting messages and commands wait for lookups; further messages are
// dropped, commands refused as Busy. maxHomes homes are in memory. maxMoves moves
// run at a time, each with a piece of maxPiece bytes in flight.
//
// # When it dies
//
// Lookups begin again, links retransmit, moves are resumed.
package region

// Package gateway is the role that owns the clients' links. It authenticates
// devices, turns frames into commands for their user's mailbox and answers and
// deliveries into frames. It checks sizes, windows and order; what messages
// mean is the mailbox's business, and it never looks into a body beyond the
// limits.
//
// # What it owns
//
// One session per connection: whose it is, whether it has logged in, how many
// of its sends are unanswered. The session is the mailbox's im.Sink and
// im.Completion itself, so that a message costs no closure. Goroutines run
// only for calls, a bounded number per connection and in all; Wait waits for
// them.
//
// # What is persisted
//
// Nothing.
//
// # Invariants
//
// A session sends no command before its Attach, and its Detach follows
// whatever way the connection ends. Welcome precedes every delivery. Each Send
// is answered once while the connection lasts. What a connection can have
// waiting in the mailbox's queue is bounded: im.SendWindow sends, one Ack, one
// Pull and MaxConnCalls calls. Acks and pulls that come meanwhile replace each
// other: only the latest counts.
//
// # When it is full
//
// Sends and calls beyond their bounds are answered Busy. A connection that
// does not read is closed by the link with SLOW; what it missed it gets again
// from its cursor.
//
// # When it dies
//
// Clients connect again, here or elsewhere, and continue from their cursors;
// sends without answers are repeated by the clients and recognized by the
// mailbox.
package gateway

// Package gateway is the role that owns the clients' links. It authenticates
// devices, turns frames into commands for their user's mailbox and answers and
// deliveries into frames. It checks sizes, windows and order; what messages
// mean is the mailbox's business, and it never looks into a body beyond the
// limits.
//
// # What it owns
//
// One session per connection: whose it is, whether it has logged in, how many
// of its sends are unanswered, and which entry it was handed last. The session
// is the mailbox's im.Sink and im.Completion itself, so that a message costs no
// closure. Goroutines run only for calls, a bounded number per connection and
// in all; Wait waits for them. Everything else happens on the goroutines of the
// link, of the mailbox and of timers, and is deterministic: the simulator runs
// it as it is.
//
// # What is persisted
//
// Nothing.
//
// # Resumption
//
// The mailbox may be in the same process or behind a role link, and may go away
// and come back at any time. A session that it has lost waits until everything
// the mailbox had of it is answered, attaches again after the last entry that
// was handed to the connection, and submits again, in the order of client_seq,
// the sends whose fate is unknown; frames that come meanwhile wait, within the
// usual bounds. The client notices nothing but delay. What the mailbox says to
// a session it had earlier does not reach the connection any more.
//
// # Invariants
//
// A session sends no command before its Attach, and its Detach follows
// whatever way the connection ends. Welcome precedes every delivery. Each Send
// is answered once while the connection lasts, and the connection is handed
// every entry once and in order, however often the session is resumed. What a
// connection can have waiting in the mailbox's queue is bounded: im.SendWindow
// sends, one Ack, one Pull and MaxConnCalls calls. Acks and pulls that come
// meanwhile replace each other: only the latest counts.
//
// Shakes go to Config.Shaker, and each is answered by its id, in no order. It
// bounds those that wait.
//
// # When it is full
//
// Sends and calls beyond their bounds are answered Busy: by number and bytes
// without an answer, by the rate of their device, and by what an im.Leveler says
// that the mailbox admits. Logins beyond Config.MaxAttaching wait, those beyond
// MaxWaiting, the rate of their address or the mailbox's level are closed with
// OVERLOADED and a moment to come back. Resumptions wait, however many there are.
// A connection that does not read is closed by the link with SLOW; what it
// missed it gets again from its cursor.
//
// # When it dies
//
// Clients connect again, here or elsewhere, and continue from their cursors;
// sends without answers are repeated by the clients and recognized by the
// mailbox.
package gateway

// Package evloop runs very many connections on a few goroutines: an engine of
// event loops on Linux's epoll. It knows nothing of the rest of the program,
// and imports nothing but the standard library and golang.org/x/sys/unix. On
// other systems Supported is false, and there is nothing else in it.
//
// # What it owns
//
// An Engine owns loops. A Loop is one goroutine that owns connections: their
// table, their timers, one buffer to read them all into, and an inbox for the
// functions of other goroutines. Loops share nothing but the count of
// connections and, beyond steps of 256 KiB, of bytes. A connection that is idle has 64 bytes, 24 more in the table,
// and no buffer; buffers are lent to it while something waits, for the rest of
// a message to arrive or for the peer to read.
//
// Connections are accepted (Engine.Listen, Engine.Accept), taken over from
// elsewhere (Engine.Adopt) or dialed (Loop.Dial). On any of them the standard
// crypto/tls may run; see tlsLayer for how it does without a goroutine.
//
// # What is persisted
//
// Nothing.
//
// # Turns
//
// A loop takes turns. In each it takes some events from the kernel, some steps
// of handshakes, a slice of the inbox and one of an Each, and the timers; then
// it writes what all that has produced, one write per connection; then it
// closes what has ended. So a loop is fair: no connection, push or login storm
// keeps the others waiting for longer than a turn, some milliseconds.
//
// # Invariants
//
// Calls of the Handler are made on the loop's goroutine and never overlap for
// a connection: Open first, Closed last, each exactly once, or Failed alone.
// None is made from within a method of Conn. Bytes leave in the order of the
// calls of Write. An event for a descriptor that meanwhile is another
// connection's is recognized and ignored. A Conn is never used again, so whoever
// keeps one too long gets ErrClosed and not somebody else's connection.
//
// # Bounds
//
// Connections: Config.MaxConns, then they are closed at once; Stats.Refused.
// Outgoing bytes of a connection: Config.MaxQueue, then ErrQueueFull. Bytes of
// a message that is not whole: Config.MaxPartial, then the connection is closed
// with ErrTooLong. Bytes of all connections of a loop: Config.MaxLoopBytes, and
// of all loops: Config.Budget; then those that hold more than Spare get no more
// (ErrNoRoom), and TLS handshakes wait. What crypto/tls itself keeps is
// estimated: 32 KiB while a handshake lasts, then the largest record that came. Functions of other
// goroutines: Config.MaxInbox, then ErrBusy. Handshakes: Config.MaxHandshakes at
// a time, the others wait, all of them no longer than Config.HandshakeTimeout.
// Peers that do not read: Config.StallTimeout for each 64 KiB. When descriptors
// run out, accepting pauses for 0.1 to 1.6 seconds.
//
// # When it dies
//
// The connections break, with the whole process. Shutdown lets them end first,
// as far as its context allows, and returns when the loops are gone.
//
// # What it costs
//
// 100 to 150 bytes of process memory per idle connection, 9.7 KiB with TLS
// (TestMemoryPerConnection), up to three times that while many log in, and half
// a second longer: then the engine gives memory back to the system, for the
// whole process (TestMemoryAfterALoginStorm); 0.89 to 0.94 of the CPU per small request that a
// goroutine per connection takes, nine tenths of both being the kernel's
// (BenchmarkRequests). A system call for each, read and write, is the floor.
package evloop

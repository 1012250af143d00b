// Package link carries frames between clients and gateways: over TCP, TLS,
// WebSocket, and within the process.
//
// # What it owns
//
// A Server owns listeners and connections, on one of two engines, which keep
// the same promises (the tests run on both). With EngineGoroutine, a connection
// has a goroutine that reads, and one that writes while there is something to
// write, so that an idle one costs a goroutine and a buffer of half a kilobyte.
// With EngineEpoll, the loops of package evloop run all connections, and an
// idle one has neither goroutine nor buffer. Either way, what a handler sends
// is copied into the connection's queue, and everything that has gathered there
// leaves in one write. A ClientConn is the other end; it has no goroutine.
//
// Two kinds of connections have goroutines on either engine: pipes, which are
// no sockets, and WebSockets out of an HTTPS server, because the state of their
// TLS cannot be taken out of it. WebSockets over TLS on the link port are not
// among them.
//
// # What is persisted
//
// Nothing.
//
// # Invariants
//
// Calls to the Handler for one connection never overlap; Open is the first,
// Closed the last, each exactly once. Frames arrive whole and in order, and
// leave in the order of the calls to Send. A length is checked before room is
// made for it, and room grows with what arrived, not with what was announced.
//
// # Bounds
//
// Outgoing bytes of a connection: Config.MaxQueue, then it is closed with
// SLOW. Bytes of all connections, queued, not whole, or of TLS handshakes:
// Config.MaxLoopBytes and MaxBytes, then those that hold over 4 KiB and ask for
// more are closed with OVERLOADED, unsaid if there is no room to say so;
// Stats.Overloaded. On EngineEpoll, handshakes wait for room instead, and the
// largest TLS record of each connection counts, because crypto/tls keeps room for
// it; on EngineGoroutine it does not.
//
// Connections of an address: whatever Config.Accept lets in. All connections:
// Config.MaxConns, then a few more are told OVERLOADED, and the rest are hung
// up on. From connecting to the first frame, TLS and WebSocket handshakes
// included: Config.HandshakeTimeout. Between frames: the idle time. A write
// that makes no progress: Config.StallTimeout. A goodbye: Config.CloseTimeout.
// On EngineEpoll, times are rounded up by 0.1 to 0.2 seconds, and a TLS
// handshake has a HandshakeTimeout of its own.
//
// # When it dies
//
// Connections break, clients connect again and continue from their cursors.
// Drain says so to one after the other, each with a moment to come back within
// Config.ReturnWithin, and where to; Shutdown says it to all at once.
//
// # WebSocket
//
// A binary message carries one or more whole frames, at most one more header
// than the largest frame in bytes. Messages may come in fragments. Text
// messages are refused. The link port recognizes WebSocket by the first byte:
// frame types stay below 'A', HTTP methods begin there. After the Close frame
// comes a WebSocket close with status 4000 plus the code.
package link

// Package remote carries im.Mailbox between processes. A gateway process has
// one role link to a mailbox node, over TCP or a unix socket: a Client at one
// end, a Server at the other.
//
// # What it owns
//
// A Server owns its listeners and links, and knows which sessions were attached
// over each. A Client owns the link, the commands that have been submitted and
// not completed, and the sinks of its sessions. Both ends have one goroutine
// that reads a link and one that writes it; there is none per command, except
// for reads of timelines at the server.
//
// # What is persisted
//
// Nothing.
//
// # Frames
//
// Frames are those of package wire, with types of their own from 32 on. Their
// payloads are fields in protobuf's encoding. Submit, Answer and Deliver have a
// head before them: a byte that says how long it is, and fields for the link
// (which command in flight, which entity, which codec). Lengths may be longer
// varints than needed, so that everything is encoded in one pass.
//
// Versions N and N+1 work together: unknown fields and frame types are
// skipped, an unknown command is answered Unimplemented, and an unknown result
// completes its command with Unimplemented. Numbers of fields, codecs and frame
// types are never reused. A new command is one entry in commands, and one in
// resultCodecs if its result is new; tests hold both tables to package im.
//
// Link messages between mailbox nodes (Client.Forward), and what a node says of
// its slots to others (Client.Announce), are frames without an answer: they are
// dropped, and messages counted, where there is no link or over MaxForwardBytes
// wait. Their senders send again. A server tells its clients likewise which slots
// it serves (Server.Announce), all of them when a link comes up, and which it has
// handed over (Server.Left).
//
// A link may lead to another region (ClientConfig.Region) instead of the node's own
// mailbox: the node is a relay then, with a Way there. Commands and link messages
// are for that region, and the relay says how it stands with it whenever that changes,
// and before it asks the client to leave. There may be a link of one process for each
// region.
//
// # Handshake
//
// The server sends a Challenge with a nonce; the client Hello, with its nonce,
// and Proof; the server Welcome and Proof. A proof is HMAC-SHA256 of everything
// said so far under the secret both ends share, so the client proves first, and
// neither learns anything from one who does not know the secret. What follows
// is neither encrypted nor authenticated: role links belong on a network that
// is trusted, or in a tunnel.
//
// # Invariants
//
// Every command is completed exactly once, whatever happens, Close included.
// Commands are sent in the order of Submit. All completions and all calls to
// sinks are made without locks by the client's one goroutine, in the order in
// which the mailbox made them: the answer to an Attach before its deliveries,
// the answer to a Send in its place among them. The exception is what never
// gets to the queue (refused as Busy, the client closed, Detach of a session
// that has ended): that is completed within Submit, by who called it, as
// shards do.
//
// The mailbox hears of sessions under identifiers made from the client's and
// its process's Instance, so those of two processes never meet. They stay the
// same over all links of a process, which is what Resume needs. A session's
// identifier is used for one Attach only.
//
// A process has one link to a node: a new one ends the old one first. So what
// was left in a link that was lost is never applied after what the client sent
// later.
//
// # When a link is lost
//
// The client first takes everything apart under its lock: from then on a
// Submit queues for the next link. Then, without the lock:
//
//  1. Every session that was granted gets Kick with CloseUnavailable, once. Who
//     owns it submits a new Attach with Resume and a new session.
//  2. Commands about such sessions, and those in flight that are not
//     im.Repeatable, complete with Unavailable, in the order of Submit; a
//     Detach completes without an error. Of an Attach in flight only the
//     completion is heard, no Kick.
//  3. The other commands in flight are sent again over the next link, before
//     everything that was submitted after them, if their patience lasts. So is
//     what had not been sent.
//
// A session is therefore kicked before any of its commands fails, and a gateway
// that repeats what failed after a Kick, in order, once it has resumed, shows
// its client nothing but delay. A command about a lost session that was
// submitted between the loss and the Kick waits for the next link as any
// other, and its answer comes after the Kick.
//
// The server submits a Detach for every session of a link that ends.
//
// # Bounds
//
// Commands in flight: ServerConfig.Window; the client does not send more, and
// is cut off if it does. Waiting in the client: MaxQueued and MaxQueuedBytes,
// then Busy, except for a Detach; each for at most Patience, then Unavailable.
// Waiting to be read by the client: ServerConfig.MaxQueue bytes, then the link
// is cut and counted as Slow, and its sessions are lost as in any loss. Reads
// that run: MaxReads; further ones wait while their callers do. Connections in
// the handshake: MaxHandshakes, each for HandshakeTimeout and with frames of
// 512 bytes. Links: MaxLinks. Frames: 16 MiB.
//
// # When it dies
//
// Either end finds a link dead after Heartbeat.Dead without a byte while
// something waits for the other end, after Heartbeat.Idle otherwise; a process
// that ends is noticed at once. Clients connect again after 10 to 30 ms, then
// ever later up to a second. Shutdown of a server asks its clients to leave:
// what is in flight is answered, the rest waits for the next link.
package remote

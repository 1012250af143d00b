// Package api is the HTTP side of Skein: the Connect services of
// proto/skein/v1/api.proto as JSON and protobuf, their OpenAPI description,
// and the same methods for calls that arrive over a long link.
//
// # What it owns
//
// Requests while they are answered, and the sessions of long polls. One table
// (methods.go) says for every method who may call it, how large its body may
// be, and which function answers it; HTTP handlers and Call both come from
// that table.
//
// # What it persists
//
// Nothing. Everything a method reports is durable in a mailbox before the
// answer leaves.
//
// # Invariants
//
// Credentials are checked in one place, before any of the body is read, and
// against the mailbox on every request: a revoked token is useless at once.
// Bodies are bounded in size, before and after decompression, and in the time
// they may take. Errors have the kind, code and text that api.proto's Error
// documents; what is not meant for callers is logged here, once, and leaves
// as "internal error". There is no CORS: a page of another origin reads
// nothing.
//
// A long poll holds a place while it waits. Places are bounded: in all, where
// whoever gets none is told Busy, and per device, where a further poll makes
// the oldest answer. Entries that come after the first delivery are not lost:
// they follow the cursor of the next request.
//
// # When it dies
//
// Requests fail on the client's side and may be repeated: sends with a
// client_seq get their first answer, everything else is harmless. Sessions of
// long polls that the mailbox still knows end with the process.
package api

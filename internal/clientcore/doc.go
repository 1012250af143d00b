// Package clientcore is the device's end of the protocol as a pure state
// machine: it knows no clock, network, goroutine or randomness. The public SDK,
// the load generator and the simulator drive it.
//
// # What it owns
//
// The outbox: sends without a final answer, each with the client_seq it got
// when it was handed in. The cursors of the timeline: what has been received,
// what the application has taken, what the server was told.
//
// # What is persisted
//
// Nothing by itself. Export returns what a device must keep to continue after
// a restart; a device that kept nothing learns its client_seq and cursor from
// the server's Welcome, and loses only the sends that were not answered.
//
// # Invariants
//
// A client_seq stands for one message for as long as the server may remember
// it, so sending again never makes a second message. Every send is answered
// once. Entries come out with dense sequences, each once. The server is told
// that an entry is stored only after the application has taken it and
// everything before it.
//
// # Duties of the caller
//
// Calls must not overlap. After Disconnected, no frame of the old connection
// may be handed in. Entries and Answers are valid until the next call that
// takes a frame; entries alias the frame.
//
// # When it dies
//
// What was exported last is enough: sends are repeated, entries come again
// after the exported cursor.
package clientcore

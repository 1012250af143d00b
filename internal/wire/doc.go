// Package wire is the codec of the long link between clients and gateways:
// frames, and the payloads that travel in them.
//
// A frame is a type byte, the payload's length as an unsigned varint of at
// most five bytes, and the payload. Frames without payload (heartbeats) are
// two bytes. A length is checked against the reader's limit as soon as it can
// be read, before anything is allocated for it. A Reader cuts frames from a
// connection; role links, relays and standbys read theirs with it too, and have
// types of their own. (Package link has its own buffers, of which there are too
// many to keep them while they are empty.)
//
// Payloads are the messages of proto/skein/v1/link.proto. Those that every
// message passes through (Send, SendAck, Entry, Deliver, Ack, Pull), and Shake
// and Shaken, are coded by hand, without allocation; the others use the generated
// code. Hand-coded
// output is canonical proto3: fields in order, zero values left out, so it is
// byte for byte what the generated code writes. Hand-coded input is whatever
// the generated code reads, with two differences: a number that does not fit
// the Go type it goes to is refused where the generated code cuts it off, and
// a Content without type and body counts as absent.
//
// Decoded messages alias the buffer they were read from. Whoever keeps one
// longer than the buffer copies it.
//
// The package owns no state and persists nothing, though mailboxes store
// encoded entries: the numbers of fields and frame types never change.
package wire

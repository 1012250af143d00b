// Package article speaks the HTTP interface of the article whose experiment
// Skein repeats: two URLs, without accounts or tokens, for users that were
// loaded from a file.
//
//	GET /api/user/<user>
//	GET /api/c/<user>/<friend>/<sendid>/?message=<text>
//
// The first returns the user's counters and friends as JSON. The second sends
// a message; OK means that it is durable and will reach the friend, exactly
// once and in the order of the send ids, also when it came before its
// predecessors or is a repetition. Errors are one line of text.
//
// It owns nothing and persists nothing. Whoever reaches these URLs may write in
// everybody's name, so they are served on an address of their own, which is off
// unless asked for. Requests that a web page of another site caused are
// refused.
//
// When it dies, requests fail without an answer, and clients repeat them.
package article

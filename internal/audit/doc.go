// Package audit proves that no cent was lost or made: it reads all that a
// store holds and checks that what came in is what is held plus what went out.
//
// # What is checked
//
// Of every entity that has money, the log is added up from its first entry.
// The sum must be what the entity believes to have when it is loaded, and
// never negative; each entry of a wallet's statement must name the one before
// it and say the balance that the entries up to it make. Of every link between
// a wallet and an envelope, campaign or payment, what one end has taken must
// be what the other has sent, message by message; what was sent and not taken
// yet is in flight, and what a sender believes to be taken must have been. A link
// that has stopped, because a store has lost its end (ADR 10), is named. And the
// totals must agree.
//
// A wallet's log may have lost its beginning to retention. What the wallet had
// where its log begins is then proved from the other ends: it must be what
// envelopes, campaigns and payments, whose logs are kept whole, have sent it and
// taken from it before. And nothing may be missing that was not let go of.
//
// The package owns nothing and writes nothing. The store must be at rest:
// entries that arrive during the audit would look like errors. Memory is
// bounded by the links of which one end has been read.
package audit

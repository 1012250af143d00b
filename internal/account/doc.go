// Package account knows who somebody is: passwords, the tokens of devices and
// of the operator, registration and login.
//
// # What it owns
//
// Nothing that lasts. Users, names and devices live in entities behind
// im.Mailbox, and package account asks them. In memory it keeps a block of
// user identifiers not yet given out, and how often logins have failed lately
// for a name or from an address; both are bounded.
//
// # What is persisted
//
// A password only as an argon2id hash in PHC form, a device's secret only as
// its SHA-256: 160 random bits need no slow hash. The operator's token is in a
// file of the data directory that only its owner may read.
//
// # Invariants
//
// No secret is logged or put into an error. Wrong passwords and unknown names
// get the same answer after the same work. At most a fixed number of hashes
// are computed at a time, and at most a fixed number of callers wait for one;
// others are told to come back, since every hash costs 19 MiB.
//
// # When it dies
//
// Identifiers of the block are never used, which harms nobody. A registration
// that was under way is completed by repeating it: a name that is bound
// already and a password that fits make it a login. Counts of failed logins
// start again from zero.
package account

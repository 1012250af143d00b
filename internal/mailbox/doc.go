// Package mailbox is the role that holds the entities: users' mailboxes,
// names, the allocator. It acquires slots in the store, spreads them over
// shards, carries link messages between its shards, and answers reads of
// durable timelines straight from the store.
//
// It persists everything through the store and nothing else. Invariants: a
// slot is served under the epoch of its last acquisition only; when the store
// refuses writes, the slots concerned are not served until they have been
// acquired again.
//
// One controller decides for all shards what is admitted; an overloaded mailbox
// refuses with Busy what matters least, and says by Level what it admits.
//
// Its clock follows the system's forward and never goes back: when somebody
// sets that to an earlier time, timers and entries go on from where they were.
//
// When it dies, whoever acquires its slots next continues from the store.
package mailbox

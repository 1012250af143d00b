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
// When it dies, whoever acquires its slots next continues from the store.
package mailbox

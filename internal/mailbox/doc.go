// Package mailbox is the role that holds the entities: users' mailboxes,
// names, the allocator. It acquires slots in the store, spreads them over
// shards, carries link messages between its shards, and answers reads of
// durable timelines straight from the store.
//
// On a store of its own a node serves every slot. On a shared one it serves what
// Assign says (package slots), and nothing is relied on for safety: it waits for nodes that are
// there to hand over what they have, hands over what is not
// wanted any more, takes back what the store has fenced if that is still wanted,
// and audits now and then whether its slots are its own. Link messages for
// entities of other nodes go to Config.Elsewhere.
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

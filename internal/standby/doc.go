// Package standby keeps a copy of a region's store somewhere else, so that the
// region's users can be served from there when the region is gone.
//
// # What it owns
//
// A Source is a store.Store around the engine of a mailbox node. It passes
// everything on to the engine, numbers the commits of each slot, and sends them
// to the Follower. A Follower is the other end: it applies them to a store of
// its own, in the order of their numbers, and says how far it has come.
//
// # What is persisted
//
// In both stores, one record per slot with the number of the slot's last commit
// (im.KindPosition), written with that commit. So either end knows after any
// crash what it has, and they find out what the copy lacks by comparing two
// numbers. The Follower's record also says from which number on a copy that was
// begun is whole. What makes a store a copy is a record too: it must be promoted
// before a node serves from it.
//
// # Invariants
//
// A slot of the copy is what the slot was after the commit that its number
// names, or it is marked as not whole. The number never goes back while the
// copy is whole.
//
// With Config.Sync, a commit returns only when the copy has it, durably; so does
// the acquisition of slots, and what a read returns is in the copy too. What the
// mailbox has told anybody is therefore never lost with the region. The price is
// one round trip to the copy per commit, one read of the slot's number per read, and
// that nothing is committed while the copy is out of reach. What a slot that has a
// newer owner holds, only that one can tell to be in the copy: reads of it fail.
//
// Without Sync, what is lost with the region is what Source.Stats shows as
// behind. A commit is sent as soon as the engine has it, whole, but slots are
// independent: of two slots, one may have lost more than the other.
//
// # How a copy is made
//
// The Follower's number for a slot is either continued from what is queued, or
// the slot is copied anew: every entity is read at one point of its own, with the
// entries of its log that the copy lacks, and then all commits since the copy
// began are applied. Applying a commit to an entity that has it already changes
// nothing in the end: records are absolute, and entries have sequences. Entities
// that the slot no longer has are removed. When the slot gets a newer owner before
// all is read, the copy is left unfinished: what that one writes may have no number.
//
// # Bounds
//
// What is queued for the Follower: Config.MaxQueuedBytes. Beyond it, the queue
// of the slot that has most is dropped and counted, and the slot is copied anew.
// With Sync, nothing is dropped, since every commit waits. Copies that run:
// copiers. Frames: maxFrame, unless one entity's snapshot or one commit's part
// for one slot is larger.
//
// # When it dies
//
// A Source that dies is replaced by the next owner of its slots, which begins
// with the numbers in the store. A Follower that dies is asked again for its
// numbers. When a commit of its store has failed, it acquires the slots again before
// it goes on: what has failed might still take effect. Connections are made again after 50 ms, then ever later up to a
// second.
package standby

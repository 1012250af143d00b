// Package memstore is a store engine in memory for tests, and for the
// simulator, which runs whole clusters against one Store on virtual time.
//
// It has no goroutines, no clock but the one it is given, and no randomness:
// the same calls give the same results. It owns what it holds, which nothing
// persists; Store.Crash says what survives a simulated crash.
//
// Commit takes effect at once. Begin splits a commit the way it happens in a
// real engine, so that the simulator can put anything between the steps:
//
//	op := s.Begin(batch) // submitted: the batch is on its way
//	op.Apply()           // takes effect: fencing is decided, reads see it
//	err := op.Finish()   // the answer is there (applies first, if need be)
//	op.Drop(nil)         // or the submitter or the store died before
//
// # Invariants
//
//   - Fencing is decided when an operation takes effect, not when it begins:
//     a commit that was on its way while the slot got a new owner is refused,
//     however late it arrives.
//   - The parts of a batch that concern one slot take effect together.
//   - The caller's duties are checked, and a breach panics: a log grows
//     without holes, commits of one owner for one slot do not overlap, keys
//     have 1 to 64 bytes.
package memstore

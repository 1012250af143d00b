// Package capacity says how many machines of which kind so many users need, and
// what breaks first: a queueing model fed with measured costs. docs/SCALING.md
// explains it and has its table, which a test holds against the model.
//
// It owns no state and persists nothing.
package capacity

//go:build race

package sim

// usualSeeds is how many runs there are. They have no goroutines of their own: the
// race detector finds nothing in the thousandth that it has not in these, and
// makes each ten times as long.
const usualSeeds = 100

//go:build race

package regions

// usualSeeds is how many runs there are. Only moves are goroutines, one of which runs at
// a time: the race detector has seen what there is to see in these.
const usualSeeds = 40

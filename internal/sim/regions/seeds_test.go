//go:build !race

package regions

const usualSeeds = 120

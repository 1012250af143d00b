package entity

import (
	"math/bits"
	"slices"

	"github.com/skein-im/skein/internal/im"
)

// split divides total into n shares of at least a cent, in the order in which
// they will be opened. draw returns a number in [0, n).
//
// Both rules are exchangeable: whichever way a split is put into order, it is
// as likely in that order as in any other. So all that can be said of a share,
// its expectation total/n first of all, is the same for the first who opens
// and for the last.
func split(total im.Cents, n int, rule im.SplitRule, draw func(int64) int64) []im.Cents {
	if rule == im.SplitRandom {
		return splitRandom(total, n, draw)
	}
	return splitEqual(total, n, draw)
}

// splitRandom draws one of all ways to write total as a sum of n positive
// numbers, each as likely as any other: it cuts the row of cents at n-1 of the
// total-1 gaps between them.
func splitRandom(total im.Cents, n int, draw func(int64) int64) []im.Cents {
	cuts := choose(int64(total)-1, n-1, draw)
	slices.Sort(cuts)
	shares := make([]im.Cents, n)
	last := int64(0)
	for i, cut := range cuts {
		shares[i] = im.Cents(cut - last)
		last = cut
	}
	shares[n-1] = total - im.Cents(last)
	return shares
}

// splitEqual gives all shares the same, and what is left over, cent by cent,
// to shares that it draws.
func splitEqual(total im.Cents, n int, draw func(int64) int64) []im.Cents {
	shares := make([]im.Cents, n)
	for i := range shares {
		shares[i] = total / im.Cents(n)
	}
	for _, i := range choose(int64(n), int(total%im.Cents(n)), draw) {
		shares[i-1]++
	}
	return shares
}

// choose draws k different numbers of 1..m, every set of them as likely as any
// other (Floyd's algorithm).
func choose(m int64, k int, draw func(int64) int64) []int64 {
	chosen := make(map[int64]bool, k)
	list := make([]int64, 0, k)
	for top := m - int64(k) + 1; top <= m; top++ {
		x := 1 + draw(top)
		if chosen[x] {
			x = top
		}
		chosen[x] = true
		list = append(list, x)
	}
	return list
}

// portion is total*i/n, rounded down: what the first i of n blocks get.
func portion(total im.Cents, i, n uint32) im.Cents {
	hi, lo := bits.Mul64(uint64(total), uint64(i))
	q, _ := bits.Div64(hi, lo, uint64(n))
	return im.Cents(q)
}

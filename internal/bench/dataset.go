package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
)

// Dataset says who is whose friend. Users are numbered from 1.
type Dataset struct {
	Users int    `json:"users"`
	Mean  int    `json:"friends"`
	Seed  uint64 `json:"seed"`
	// Friends of user i+1, ascending; friendship is mutual.
	Friends [][]int `json:"lists"`
}

// maxUsers keeps numbers below those of registered users, with room to spare.
const maxUsers = 1 << 28

// NewDataset makes users who have mean friends on average and at least one
// each. The same arguments give the same result.
func NewDataset(users, mean int, seed uint64) (*Dataset, error) {
	if users < 2 || users > maxUsers || mean < 1 || mean > users-1 {
		return nil, fmt.Errorf("%d users with %d friends on average: it takes at least 2 users, and 1 to users-1 friends", users, mean)
	}
	d := &Dataset{Users: users, Mean: mean, Seed: seed, Friends: make([][]int, users)}
	rng := newRand(seed, 1)
	pairs := max(users*mean/2, (users+1)/2)
	made := d.pairUp(rng)
	for made < pairs {
		if d.befriend(1+rng.IntN(users), 1+rng.IntN(users)) {
			made++
		}
	}
	for _, list := range d.Friends {
		slices.Sort(list)
	}
	return d, nil
}

// newRand is a source of randomness for one purpose of a run.
func newRand(seed, purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, purpose)) }

// pairUp gives everyone a first friend.
func (d *Dataset) pairUp(rng *rand.Rand) int {
	order := rng.Perm(d.Users)
	made := 0
	for i := 0; i+1 < len(order); i += 2 {
		d.befriend(order[i]+1, order[i+1]+1)
		made++
	}
	if d.Users%2 == 1 {
		d.befriend(order[d.Users-1]+1, order[rng.IntN(d.Users-1)]+1)
		made++
	}
	return made
}

// befriend makes two users friends unless they are, or are one.
func (d *Dataset) befriend(a, b int) bool {
	if a == b {
		return false
	}
	short, other := d.Friends[a-1], b
	if len(d.Friends[b-1]) < len(short) {
		short, other = d.Friends[b-1], a
	}
	if slices.Contains(short, other) {
		return false
	}
	d.Friends[a-1] = append(d.Friends[a-1], b)
	d.Friends[b-1] = append(d.Friends[b-1], a)
	return true
}

// Links is how many ordered pairs of friends there are.
func (d *Dataset) Links() int {
	n := 0
	for _, list := range d.Friends {
		n += len(list)
	}
	return n
}

// WriteArticle writes the form that the article's programs read: a line
// "user,friend,region" for each direction of each friendship. Regions are
// runs of perRegion users.
func (d *Dataset) WriteArticle(w io.Writer, perRegion int) error {
	if perRegion < 1 {
		return fmt.Errorf("a region has at least one user")
	}
	bw := bufio.NewWriter(w)
	var line []byte
	for i, list := range d.Friends {
		for _, f := range list {
			line = strconv.AppendInt(line[:0], int64(i+1), 10)
			line = strconv.AppendInt(append(line, ','), int64(f), 10)
			line = strconv.AppendInt(append(line, ','), int64(1+i/perRegion), 10)
			if _, err := bw.Write(append(line, '\n')); err != nil {
				return err
			}
		}
	}
	return bw.Flush()
}

// WriteJSON writes the data set as one JSON object.
func (d *Dataset) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(d) }

package article

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/skein-im/skein/internal/im"
)

// Limits of a data file.
const (
	// MaxLines is how many directions of friendships it may list; reading
	// takes 16 bytes for each.
	MaxLines = 10_000_000
	// MaxLine is the most bytes of a line.
	MaxLine = 256
)

// User is one user of a data file.
type User struct {
	ID im.UserID
	// Region is where the article's data sets place the user.
	Region uint32
	// Friends, ascending.
	Friends []im.UserID
}

// direction is one line: the friend is in the low half of the key, so that
// sorting by key groups by user.
type direction struct {
	key  uint64
	line uint32
}

func (d direction) user() uint64   { return d.key >> 32 }
func (d direction) friend() uint64 { return d.key & math.MaxUint32 }

type region struct {
	number, line uint32
}

// ReadData reads the article's text form: a line "user,friend,region" for each
// direction of each friendship, where the region is the user's. Empty lines
// and what follows '#' do not count. Users are numbered from 1 to 4294967295.
// The users come back in ascending order.
func ReadData(r io.Reader) ([]User, error) {
	var lines []direction
	regions := map[uint64]region{}
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, MaxLine)
	n := uint32(0)
	for scanner.Scan() {
		n++
		text, _, _ := strings.Cut(scanner.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		d, number, err := parseLine(text, n)
		if err != nil {
			return nil, err
		}
		known, ok := regions[d.user()]
		if ok && known.number != number {
			return nil, fmt.Errorf("line %d: user %d is in region %d here, and in %d on line %d",
				n, d.user(), number, known.number, known.line)
		}
		if !ok {
			regions[d.user()] = region{number, n}
		}
		if lines = append(lines, d); len(lines) > MaxLines {
			return nil, fmt.Errorf("line %d: more than %d friendships", n, MaxLines)
		}
	}
	if errors.Is(scanner.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d: longer than %d bytes", n+1, MaxLine)
	}
	if scanner.Err() != nil {
		return nil, fmt.Errorf("after line %d: %w", n, scanner.Err())
	}
	return group(lines, regions)
}

func parseLine(text string, line uint32) (d direction, region uint32, err error) {
	fields := strings.Split(text, ",")
	if len(fields) != 3 {
		return d, 0, fmt.Errorf("line %d: not user,friend,region", line)
	}
	var v [3]uint64
	for i, name := range []string{"user", "friend", "region"} {
		v[i], err = strconv.ParseUint(strings.TrimSpace(fields[i]), 10, 32)
		if err != nil || v[i] == 0 && name != "region" {
			return d, 0, fmt.Errorf("line %d: the %s is not a number of the right size", line, name)
		}
	}
	if v[0] == v[1] {
		return d, 0, fmt.Errorf("line %d: user %d is no friend of their own", line, v[0])
	}
	return direction{v[0]<<32 | v[1], line}, uint32(v[2]), nil
}

// group makes users of the lines, each of which must be there once, and once
// the other way round.
func group(lines []direction, regions map[uint64]region) ([]User, error) {
	slices.SortFunc(lines, func(a, b direction) int {
		if a.key != b.key {
			return cmp.Compare(a.key, b.key)
		}
		return cmp.Compare(uint64(a.line), uint64(b.line))
	})
	users := make([]User, 0, len(regions))
	for i, d := range lines {
		if i > 0 && lines[i-1].key == d.key {
			return nil, fmt.Errorf("line %d: the friendship %d,%d is on line %d already", d.line, d.user(), d.friend(), lines[i-1].line)
		}
		if _, ok := slices.BinarySearchFunc(lines, d.friend()<<32|d.user(),
			func(o direction, key uint64) int { return cmp.Compare(o.key, key) }); !ok {
			return nil, fmt.Errorf("line %d: there is %d,%d but not %d,%d", d.line, d.user(), d.friend(), d.friend(), d.user())
		}
		if len(users) == 0 || uint64(users[len(users)-1].ID) != d.user() {
			users = append(users, User{ID: im.UserID(d.user()), Region: regions[d.user()].number})
		}
		u := &users[len(users)-1]
		if u.Friends = append(u.Friends, im.UserID(d.friend())); len(u.Friends) > im.MaxContacts {
			return nil, fmt.Errorf("line %d: user %d has more than %d friends", d.line, u.ID, im.MaxContacts)
		}
	}
	return users, nil
}

package redistest

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/rueidis"
)

// Key is a key and what it holds, whatever the version of the server: elements of a
// list, members of a set, pairs of a hash or of a sorted set one after the other.
type Key struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	Values [][]byte `json:"values"`
}

// Dump reads all keys, by name.
func (s *Server) Dump(ctx context.Context) ([]Key, error) {
	c, err := s.connect()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	names, err := c.Do(ctx, c.B().Keys().Pattern("*").Build()).AsStrSlice()
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	keys := make([]Key, len(names))
	for i, name := range names {
		if keys[i], err = dump(ctx, c, name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return keys, nil
}

// readers are the commands that read a whole key of some type.
var readers = map[string][]string{
	"string": {"GET", "KEY"}, "list": {"LRANGE", "KEY", "0", "-1"}, "set": {"SMEMBERS", "KEY"},
	"hash": {"HGETALL", "KEY"}, "zset": {"ZRANGE", "KEY", "0", "-1", "WITHSCORES"},
}

func dump(ctx context.Context, c rueidis.Client, name string) (k Key, err error) {
	k.Name = name
	if k.Type, err = c.Do(ctx, c.B().Type().Key(name).Build()).ToString(); err != nil {
		return k, err
	}
	args := slices.Clone(readers[k.Type])
	if args == nil {
		return k, fmt.Errorf("a key of type %s", k.Type)
	}
	args[1] = name
	m, err := c.Do(ctx, c.B().Arbitrary(args...).Build()).ToMessage()
	if err != nil {
		return k, err
	}
	return k, k.add(m)
}

// add takes what a server answers, flat.
func (k *Key) add(m rueidis.RedisMessage) error {
	if m.IsString() {
		text, err := m.ToString()
		k.Values = append(k.Values, []byte(text))
		return err
	}
	if f, err := m.ToFloat64(); err == nil {
		k.Values = append(k.Values, fmt.Append(nil, f))
		return nil
	}
	if m.IsMap() {
		pairs, err := m.AsStrMap()
		for _, name := range slices.Sorted(func(yield func(string) bool) {
			for name := range pairs {
				if !yield(name) {
					return
				}
			}
		}) {
			k.Values = append(k.Values, []byte(name), []byte(pairs[name]))
		}
		return err
	}
	list, err := m.ToArray()
	for i := 0; err == nil && i < len(list); i++ {
		err = k.add(list[i])
	}
	return err
}

// writers are the commands that write a whole key of some type.
var writers = map[string]string{"string": "SET", "list": "RPUSH", "set": "SADD", "hash": "HSET", "zset": "ZADD"}

// Load writes keys.
func (s *Server) Load(ctx context.Context, keys []Key) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	var cmds rueidis.Commands
	for _, k := range keys {
		args := []string{writers[k.Type], k.Name}
		for _, v := range k.Values {
			args = append(args, string(v))
		}
		if k.Type == "zset" {
			// It is read the other way round.
			for i := 2; i < len(args); i += 2 {
				args[i], args[i+1] = args[i+1], args[i]
			}
		}
		cmds = append(cmds, c.B().Arbitrary(args...).Build())
	}
	for _, r := range c.DoMulti(ctx, cmds...) {
		if err := r.Error(); err != nil {
			return err
		}
	}
	return nil
}

package entity

import (
	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// recordsOnly is the part of entities that have neither log nor links.
type recordsOnly struct{}

func (recordsOnly) Replay(e im.LogEntry) error         { return errDamaged }
func (recordsOnly) Start(*Tx)                          {}
func (recordsOnly) Receive(*Tx, *Message)              {}
func (recordsOnly) Hurry(*Tx, func(im.Addr) bool) int  { return 0 }
func (recordsOnly) Timer(*Tx)                          {}
func (recordsOnly) Resend(*Tx, im.Addr, []im.LogEntry) {}
func (recordsOnly) Snapshot(*Tx)                       {}
func (recordsOnly) Status() Status                     { return Status{} }

// nameTable binds the user names whose hash is its address: nearly always
// one.
type nameTable struct {
	recordsOnly
	names map[string]nameBinding
}

type nameBinding = im.NameInfo

func (t *nameTable) Restore(recs []im.Record) (im.Seq, error) {
	for _, r := range recs {
		var m storev1.AccountName
		if err := proto.Unmarshal(r.Value, &m); err != nil {
			return 0, im.Errorf(im.Internal, "name record %q: %w", r.Key, err)
		}
		t.names[im.FoldName(m.Name)] = nameBinding{Name: m.Name, User: im.UserID(m.User), PasswordHash: m.PasswordHash}
	}
	return 0, nil
}

func (t *nameTable) Handle(tx *Tx, cmd im.Command) (im.Result, error) {
	switch c := cmd.(type) {
	case *im.LookupName:
		if b, ok := t.names[im.FoldName(c.Name)]; ok {
			return &b, nil
		}
		return nil, im.Errorf(im.NotFound, "there is no user of this name")
	case *im.BindName:
		return t.bind(tx, c)
	}
	return nil, im.Errorf(im.Unimplemented, "a name does not understand %T", cmd)
}

func (t *nameTable) bind(tx *Tx, c *im.BindName) (im.Result, error) {
	if err := im.CheckName(c.Name); err != nil {
		return nil, err
	}
	key := im.FoldName(c.Name)
	if b, ok := t.names[key]; ok {
		return &b, nil
	}
	b := nameBinding{Name: c.Name, User: c.User, PasswordHash: c.PasswordHash}
	value, err := proto.Marshal(&storev1.AccountName{Name: b.Name, User: uint64(b.User), PasswordHash: b.PasswordHash})
	if err != nil {
		return nil, im.Errorf(im.Internal, "cannot encode a name: %w", err)
	}
	t.names[key] = b
	tx.put(key, value)
	return &b, nil
}

// allocator gives out user identifiers.
type allocator struct {
	recordsOnly
	next       uint64
	generation im.Generation
}

const (
	allocatorKey = "next"
	maxUserID    = 1<<53 - 1
	maxBlock     = 1 << 16
	// lostBlock is more than a store has given out in an end that it can lose.
	lostBlock = 1 << 24
)

func (a *allocator) Restore(recs []im.Record) (im.Seq, error) {
	for _, r := range recs {
		var m storev1.Allocator
		if err := proto.Unmarshal(r.Value, &m); err != nil {
			return 0, im.Errorf(im.Internal, "allocator record: %w", err)
		}
		a.next, a.generation = m.Next, im.Generation(m.Generation)
	}
	return 0, nil
}

func (a *allocator) Handle(tx *Tx, cmd im.Command) (im.Result, error) {
	c, ok := cmd.(*im.AllocateUsers)
	if !ok {
		return nil, im.Errorf(im.Unimplemented, "an allocator does not understand %T", cmd)
	}
	if c.Count == 0 || c.Count > maxBlock {
		return nil, im.Errorf(im.Invalid, "a block has 1 to %d identifiers", maxBlock)
	}
	first := a.next
	if tx.Generation != a.generation {
		// What a lost end has given out is not given to others.
		first += lostBlock
	}
	if first+uint64(c.Count) > maxUserID {
		return nil, im.Errorf(im.TooLarge, "user identifiers are used up")
	}
	value, err := proto.Marshal(&storev1.Allocator{Next: first + uint64(c.Count), Generation: uint64(tx.Generation)})
	if err != nil {
		return nil, im.Errorf(im.Internal, "cannot encode the allocator: %w", err)
	}
	a.next, a.generation = first+uint64(c.Count), tx.Generation
	tx.put(allocatorKey, value)
	return &im.Allocated{First: im.UserID(first), Count: c.Count}, nil
}

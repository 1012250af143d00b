package entity

import (
	"maps"
	"slices"

	"github.com/skein-im/skein/internal/im"
)

// maxStaged bounds the records of a user that arrives.
const maxStaged = 64 << 20

func (r *residence) stage(rec im.Record) {
	if r.staged == nil {
		r.staged = map[string][]byte{}
	}
	r.stagedBytes += len(rec.Key) + len(rec.Value) - len(r.staged[rec.Key])
	r.staged[rec.Key] = rec.Value
}

func (u *user) arrive(tx *Tx, c *im.Arrive) (im.Result, error) {
	r := u.residence
	switch {
	case r != nil && r.state == here && r.home.Version == c.Version:
		return &im.Arrival{Next: u.head + 1, Settled: true}, nil
	case r != nil && r.state == arriving && r.home.Version == c.Version:
		return &im.Arrival{Next: r.next}, nil
	case c.Version <= u.homeVersion():
		return nil, im.Errorf(im.Stale, "user %d has been in this region since", u.id)
	case u.exists || u.pairs != nil || r != nil && r.state == leaving:
		return nil, im.Errorf(im.Conflict, "user %d lives in this region already", u.id)
	}
	// What was here before is the beginning of the same log, unless what follows
	// it is not kept any longer.
	next, first := u.head+1, im.Seq(0)
	if c.First > next {
		next, first = c.First, c.First
	}
	if r != nil {
		tx.Delete = append(tx.Delete, slices.Sorted(maps.Keys(r.staged))...)
	}
	u.residence = &residence{state: arriving, home: im.Home{Region: c.From, Version: c.Version}, next: next, first: first}
	u.head = next - 1
	u.putResidence(tx)
	return &im.Arrival{Next: next}, nil
}

// arrival is the residence of a user that arrives with a version.
func (u *user) arrival(version uint64) (*residence, error) {
	r := u.residence
	if r == nil || r.state != arriving || r.home.Version != version {
		return nil, im.Errorf(im.Conflict, "user %d does not arrive with version %d", u.id, version)
	}
	return r, nil
}

func (u *user) importLog(tx *Tx, c *im.ImportLog) (im.Result, error) {
	r, err := u.arrival(c.Version)
	if err != nil {
		return nil, err
	}
	if len(c.Entries) > 0 && c.First > r.next {
		// The source has let go of what was wanted.
		if len(tx.Append) > 0 {
			return nil, &im.Error{Kind: im.Busy, RetryAfterMS: 10, Detail: "another part of the log is just being taken"}
		}
		r.next, r.first = c.First, c.First
	}
	for i, value := range c.Entries {
		seq := c.First + im.Seq(i)
		if seq != r.next {
			continue
		}
		var ev event
		if err := ev.decode(im.LogEntry{Seq: seq, Value: value}); err != nil {
			return nil, im.Errorf(im.Invalid, "log entry %d cannot be read: %w", seq, err)
		}
		if seq == r.first {
			tx.Trim = seq
		}
		tx.appendLog(seq, value, nil)
		r.next++
	}
	u.head = r.next - 1
	u.putResidence(tx)
	return &im.Arrival{Next: r.next}, nil
}

func (u *user) importRecords(tx *Tx, c *im.ImportRecords) (im.Result, error) {
	r, err := u.arrival(c.Version)
	if err != nil {
		return nil, err
	}
	for _, rec := range c.Records {
		if rec.Key == residenceKey || rec.Key == "" {
			return nil, im.Errorf(im.Invalid, "record %q is not one to carry", rec.Key)
		}
		if r.stage(rec); r.stagedBytes > maxStaged {
			return nil, im.Errorf(im.TooLarge, "the records of user %d have more than %d bytes", u.id, maxStaged)
		}
		tx.put(rec.Key, rec.Value)
	}
	return &im.Arrival{Next: r.next}, nil
}

func (u *user) inhabit(tx *Tx, c *im.Inhabit) (im.Result, error) {
	if r := u.residence; r != nil && r.state == here && r.home.Version == c.Version {
		return &im.Arrival{Next: u.head + 1, Settled: true}, nil
	}
	r, err := u.arrival(c.Version)
	switch {
	case err != nil:
		return nil, err
	case r.next != c.Head+1 || len(r.staged) != int(c.Records):
		return nil, im.Errorf(im.Conflict, "user %d has arrived up to entry %d with %d records, not %d with %d",
			u.id, r.next-1, len(r.staged), c.Head, c.Records)
	}
	settler := newUser(u.id)
	var recs []im.Record
	for _, key := range slices.Sorted(maps.Keys(r.staged)) {
		recs = append(recs, im.Record{Key: key, Value: r.staged[key]})
	}
	if head, err := settler.Restore(recs); err != nil || head != c.Head {
		return nil, im.Errorf(im.Conflict, "the records of user %d say entry %d is the last, not %d: %w", u.id, head, c.Head, err)
	}
	settler.residence = &residence{state: here, home: r.home}
	*u = *settler
	u.putResidence(tx)
	u.Start(tx)
	if u.outstanding > 0 {
		tx.Mark = SetMark
	}
	return &im.Arrival{Next: u.head + 1, Settled: true}, nil
}

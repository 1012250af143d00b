package im

import "slices"

// Region names a cluster with a store of its own: 1 to MaxRegion lower-case
// letters, digits and '-'.
type Region string

// MaxRegion is the most bytes a region's name may have.
const MaxRegion = 32

// CheckRegion reports why a region's name is not acceptable.
func CheckRegion(r Region) error {
	if r == "" || len(r) > MaxRegion {
		return Errorf(Invalid, "a region's name has 1 to %d characters", MaxRegion)
	}
	for _, c := range []byte(r) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return Errorf(Invalid, "a region's name has lower-case letters, digits and '-' only")
		}
	}
	return nil
}

// HomeAddr is the entity that says in which region a user lives.
func HomeAddr(id UserID) Addr { return Addr{Kind: KindHome, ID: uint64(id)} }

// Home is in which region a user lives. Version grows with every move, and one
// version names one region.
type Home struct {
	Region  Region `json:"region"`
	Version uint64 `json:"version"`
}

// Place is where a user lives, for clients: Links and HTTP are addresses there,
// best first, if they are known.
type Place struct {
	Home        Home
	Links, HTTP []string
}

// Reach is how it stands with another region, seen from a relay: Up means that
// messages can leave for it. Links and HTTP are where its clients go; Alike means that any
// of them will do, so that clients are spread over them.
type Reach struct {
	Up          bool
	Links, HTTP []string
	Alike       bool
}

// Equal reports whether two say the same.
func (r *Reach) Equal(o *Reach) bool {
	return r.Up == o.Up && r.Alike == o.Alike && slices.Equal(r.Links, o.Links) && slices.Equal(r.HTTP, o.HTTP)
}

// MaxPlaces is how many addresses of each kind a region may name.
const MaxPlaces = 16

// GetHome asks where a user lives. Sent to HomeAddr. Result: *Home; NotFound if
// the entity does not know.
type GetHome struct{}

// SetHome says where a user lives. An older or equal version changes nothing.
// Sent to HomeAddr. Result: *Home: what holds now.
type SetHome struct{ Home Home }

// Depart makes a user leave for the region To, where Version is what its home
// will have: from then on nothing of the user changes here. Repeating it is
// harmless. Result: *Departure.
type Depart struct {
	To      Region
	Version uint64
}

// Departure answers Depart: what there is to carry.
type Departure struct{ Head Seq }

// Depose ends a departure: the user lives elsewhere now, and whoever asks for it
// is told so. Repeating it is harmless. Result: nil.
type Depose struct{ Version uint64 }

// Arrive makes a user that does not exist here ready to take one over whose log
// begins at First. Repeating it goes on where the arrival stands. Result:
// *Arrival.
type Arrive struct {
	From    Region
	Version uint64
	First   Seq
}

// ImportLog adds log entries to a user that arrives: First, First+1, ...; those
// that it has are skipped. Result: *Arrival.
type ImportLog struct {
	Version uint64
	First   Seq
	Entries [][]byte
}

// ImportRecords adds records to a user that arrives. Result: *Arrival.
type ImportRecords struct {
	Version uint64
	Records []Record
}

// Inhabit ends an arrival: with as many records and the log up to Head, the user
// lives here. Repeating it is harmless. Result: *Arrival.
type Inhabit struct {
	Version uint64
	Head    Seq
	Records uint32
}

// Arrival answers Arrive and what follows it: the entry that is wanted next, and
// whether the user lives here.
type Arrival struct {
	Next    Seq
	Settled bool
}

func (*GetHome) command()       {}
func (*SetHome) command()       {}
func (*Depart) command()        {}
func (*Depose) command()        {}
func (*Arrive) command()        {}
func (*ImportLog) command()     {}
func (*ImportRecords) command() {}
func (*Inhabit) command()       {}

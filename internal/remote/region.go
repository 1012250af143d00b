package remote

import (
	"bytes"

	"github.com/skein-im/skein/internal/im"
)

var homeSlots = []slot[im.Home]{
	text(func(h *im.Home) *im.Region { return &h.Region }),
	num(func(h *im.Home) *uint64 { return &h.Version }),
}

// text is str for a named type.
func text[M any, T ~string](at func(*M) *T) slot[M] {
	return slot[M]{
		append: func(dst []byte, num int, m *M) []byte { return appendBytes(dst, num, *at(m)) },
		set:    func(m *M, f *fields) { *at(m) = T(f.string()) },
	}
}

// blobs is a list of byte strings.
func blobs[M any](at func(*M) *[][]byte) slot[M] {
	return slot[M]{
		append: func(dst []byte, num int, m *M) []byte {
			for _, b := range *at(m) {
				dst = appendElement(dst, num, b)
			}
			return dst
		},
		set: func(m *M, f *fields) { *at(m) = append(*at(m), bytes.Clone(f.bytes())) },
	}
}

func blob[M any](at func(*M) *[]byte) slot[M] {
	return slot[M]{
		append: func(dst []byte, num int, m *M) []byte { return appendBytes(dst, num, *at(m)) },
		set:    func(m *M, f *fields) { *at(m) = bytes.Clone(f.bytes()) },
	}
}

// regionCommands are the codecs of commands about regions.
var regionCommands = []commandCodec{
	empty[im.GetHome](40, "GetHome"),
	commandOf(41, "SetHome", part(func(m *im.SetHome) *im.Home { return &m.Home }, homeSlots)),
	commandOf(42, "Depart",
		text(func(m *im.Depart) *im.Region { return &m.To }),
		num(func(m *im.Depart) *uint64 { return &m.Version })),
	commandOf(43, "Depose", num(func(m *im.Depose) *uint64 { return &m.Version })),
	commandOf(44, "Arrive",
		text(func(m *im.Arrive) *im.Region { return &m.From }),
		num(func(m *im.Arrive) *uint64 { return &m.Version }),
		num(func(m *im.Arrive) *im.Seq { return &m.First })),
	commandOf(45, "ImportLog",
		num(func(m *im.ImportLog) *uint64 { return &m.Version }),
		num(func(m *im.ImportLog) *im.Seq { return &m.First }),
		blobs(func(m *im.ImportLog) *[][]byte { return &m.Entries })),
	commandOf(46, "ImportRecords",
		num(func(m *im.ImportRecords) *uint64 { return &m.Version }),
		parts(func(m *im.ImportRecords) *[]im.Record { return &m.Records }, []slot[im.Record]{
			str(func(r *im.Record) *string { return &r.Key }),
			blob(func(r *im.Record) *[]byte { return &r.Value }),
		})),
	commandOf(47, "Inhabit",
		num(func(m *im.Inhabit) *uint64 { return &m.Version }),
		num(func(m *im.Inhabit) *im.Seq { return &m.Head }),
		num(func(m *im.Inhabit) *uint32 { return &m.Records })),
}

// regionResults are the codecs of results about regions.
var regionResults = []resultCodec{
	resultOf(30, "Home", homeSlots...),
	resultOf(31, "Departure", num(func(r *im.Departure) *im.Seq { return &r.Head })),
	resultOf(32, "Arrival",
		num(func(r *im.Arrival) *im.Seq { return &r.Next }),
		flag(func(r *im.Arrival) *bool { return &r.Settled })),
}

// placeSlots are the fields of where a user lives.
var placeSlots = []slot[im.Place]{
	part(func(p *im.Place) *im.Home { return &p.Home }, homeSlots),
	texts(func(p *im.Place) *[]string { return &p.Links }),
	texts(func(p *im.Place) *[]string { return &p.HTTP }),
}

// texts is a list of strings.
func texts[M any](at func(*M) *[]string) slot[M] {
	return slot[M]{
		append: func(dst []byte, num int, m *M) []byte {
			for _, s := range *at(m) {
				dst = appendElement(dst, num, s)
			}
			return dst
		},
		set: func(m *M, f *fields) { *at(m) = append(*at(m), f.string()) },
	}
}

// appendPlace appends where a user lives who has moved, if an error says it.
func appendPlace(dst []byte, num int, p *im.Place) []byte {
	if p == nil {
		return dst
	}
	return appendNested(dst, num, func(dst []byte) []byte { return appendSlots(dst, p, placeSlots) })
}

package remote

import (
	"bytes"
	"slices"

	"github.com/skein-im/skein/internal/im"
)

// resultCodecs are the codecs of all results, the most frequent first. Codes 0
// and 1 are taken.
var resultCodecs = slices.Concat([]resultCodec{
	result(2, "Sent", func(b []byte, r *im.Sent) []byte {
		b = appendUint(b, 1, r.Seq)
		b = appendUint(b, 2, r.ClientSeq)
		b = appendUint(b, 3, r.PairID)
		b = appendUint(b, 4, r.Time)
		return appendBool(b, 5, r.InTimeline)
	}, func(r *im.Sent, f *fields) {
		switch f.num {
		case 1:
			r.Seq = number[im.Seq](f)
		case 2:
			r.ClientSeq = number[im.ClientSeq](f)
		case 3:
			r.PairID = f.uint()
		case 4:
			r.Time = f.millis()
		case 5:
			r.InTimeline = f.bool()
		}
	}),
	result(3, "Attached", func(b []byte, r *im.Attached) []byte {
		b = appendBytes(b, 1, r.Name)
		b = appendUint(b, 2, r.Head)
		b = appendUint(b, 3, r.Cursor)
		b = appendUint(b, 4, r.ClientSeq)
		b = appendUint(b, 5, r.Generation)
		if r.Kept != nil {
			b = appendPresent(b, 6, *r.Kept)
		}
		return b
	}, func(r *im.Attached, f *fields) {
		switch f.num {
		case 1:
			r.Name = f.string()
		case 2:
			r.Head = number[im.Seq](f)
		case 3:
			r.Cursor = number[im.Seq](f)
		case 4:
			r.ClientSeq = number[im.ClientSeq](f)
		case 5:
			r.Generation = number[im.Generation](f)
		case 6:
			kept := number[im.Seq](f)
			r.Kept = &kept
		}
	}),
	result(4, "DeviceCreated", func(b []byte, r *im.DeviceCreated) []byte {
		return appendUint(b, 1, r.Device)
	}, func(r *im.DeviceCreated, f *fields) {
		if f.num == 1 {
			r.Device = number[im.DeviceID](f)
		}
	}),
	results(5, "DeviceInfo", func(b []byte, r *im.DeviceInfo) []byte {
		b = appendUint(b, 1, r.Device)
		b = appendBytes(b, 2, r.Name)
		b = appendUint(b, 3, r.Created)
		b = appendUint(b, 4, r.Cursor)
		return appendBool(b, 5, r.Online)
	}, func(r *im.DeviceInfo, f *fields) {
		switch f.num {
		case 1:
			r.Device = number[im.DeviceID](f)
		case 2:
			r.Name = f.string()
		case 3:
			r.Created = f.millis()
		case 4:
			r.Cursor = number[im.Seq](f)
		case 5:
			r.Online = f.bool()
		}
	}),
	result(6, "ContactInfo", appendContactInfo, setContactInfo),
	results(7, "ContactInfo list", appendContactInfo, setContactInfo),
	result(8, "CountersInfo", appendCountersInfo, setCountersInfo),
	result(9, "NameInfo", func(b []byte, r *im.NameInfo) []byte {
		return appendBytes(appendUint(appendBytes(b, 1, r.Name), 2, r.User), 3, r.PasswordHash)
	}, func(r *im.NameInfo, f *fields) {
		switch f.num {
		case 1:
			r.Name = f.string()
		case 2:
			r.User = number[im.UserID](f)
		case 3:
			r.PasswordHash = f.string()
		}
	}),
	result(10, "Allocated", func(b []byte, r *im.Allocated) []byte {
		return appendUint(appendUint(b, 1, r.First), 2, r.Count)
	}, func(r *im.Allocated, f *fields) {
		switch f.num {
		case 1:
			r.First = number[im.UserID](f)
		case 2:
			r.Count = number[uint32](f)
		}
	}),
	result(11, "page", func(b []byte, r *page) []byte {
		b = appendUint(b, 1, r.next)
		for _, e := range r.entries {
			b = appendElement(b, 2, e)
		}
		return b
	}, func(r *page, f *fields) {
		switch f.num {
		case 1:
			r.next = number[im.Seq](f)
		case 2:
			r.entries = append(r.entries, bytes.Clone(f.bytes()))
		}
	}),
}, moneyResults, regionResults)

// page answers timelineRead and conversationRead.
type page struct {
	entries [][]byte
	// next is where a conversation goes on.
	next im.Seq
}

func appendContactInfo(b []byte, r *im.ContactInfo) []byte {
	b = appendUint(b, 1, r.Peer)
	b = appendUint(b, 2, r.State)
	b = appendBool(b, 3, r.Blocked)
	b = appendBytes(b, 4, r.Note)
	return appendUint(b, 5, r.LastSeq)
}

func setContactInfo(r *im.ContactInfo, f *fields) {
	switch f.num {
	case 1:
		r.Peer = number[im.UserID](f)
	case 2:
		r.State = number[im.ContactState](f)
	case 3:
		r.Blocked = f.bool()
	case 4:
		r.Note = f.string()
	case 5:
		r.LastSeq = number[im.Seq](f)
	}
}

func appendCountersInfo(b []byte, r *im.CountersInfo) []byte {
	b = appendUint(b, 1, r.SendID)
	b = appendUint(b, 2, r.SendAckID)
	b = appendUint(b, 3, r.RecvID)
	b = appendUint(b, 4, r.ClientRecvID)
	b = appendUint(b, 5, r.Head)
	b = appendUint(b, 6, r.ClientSeq)
	return appendNumbers(b, 7, r.Friends)
}

func setCountersInfo(r *im.CountersInfo, f *fields) {
	switch f.num {
	case 1:
		r.SendID = f.uint()
	case 2:
		r.SendAckID = f.uint()
	case 3:
		r.RecvID = f.uint()
	case 4:
		r.ClientRecvID = f.uint()
	case 5:
		r.Head = number[im.Seq](f)
	case 6:
		r.ClientSeq = number[im.ClientSeq](f)
	case 7:
		r.Friends = numbers(f, r.Friends)
	}
}

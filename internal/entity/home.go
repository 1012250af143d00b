package entity

import (
	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// home says in which region a user lives. Of the region that keeps the
// directory it is the truth, elsewhere a copy that may be behind.
type home struct {
	recordsOnly
	at im.Home
}

const homeKey = "h"

func (h *home) Restore(recs []im.Record) (im.Seq, error) {
	for _, r := range recs {
		var m storev1.Home
		if err := proto.Unmarshal(r.Value, &m); err != nil {
			return 0, im.Errorf(im.Internal, "home record: %w", err)
		}
		h.at = im.Home{Region: im.Region(m.Region), Version: m.Version}
	}
	return 0, nil
}

func (h *home) Handle(tx *Tx, cmd im.Command) (im.Result, error) {
	switch c := cmd.(type) {
	case *im.GetHome:
		if h.at.Version == 0 {
			return nil, im.Errorf(im.NotFound, "it is not known where this user lives")
		}
	case *im.SetHome:
		if err := im.CheckRegion(c.Home.Region); err != nil {
			return nil, err
		}
		if c.Home.Version > h.at.Version {
			h.at = c.Home
			tx.put(homeKey, appendHome(nil, h.at))
		}
	default:
		return nil, im.Errorf(im.Unimplemented, "a home does not understand %T", cmd)
	}
	at := h.at
	return &at, nil
}

// appendHome encodes a skein.store.v1.Home.
func appendHome(b []byte, h im.Home) []byte {
	b = appendString(b, 1, string(h.Region))
	return appendUint(b, 2, h.Version)
}

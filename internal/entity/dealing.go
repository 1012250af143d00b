package entity

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// dealing is what a user knows of a purse: an envelope, a campaign or a
// payment. It is forgotten im.WalletMemory after the purse has ended, so what
// a user knows does not grow for ever. Nothing of such a purse is taken any
// more then, and nothing is created under a key that old: both would meet a
// link that has begun anew.
type dealing struct {
	// until is when the purse ends.
	until im.Millis
	// seq and hash are of the command by which this user created it; 0:
	// somebody else did.
	seq  im.Seq
	hash uint64
	// finished: the last word on what this user created has come.
	finished bool
}

func dealingKey(a im.Addr) string {
	return fmt.Sprintf("%s%02x%016x", dealingPrefix, uint8(a.Kind), a.ID)
}

// over reports whether a dealing can be forgotten.
func (p *pair) over(now im.Millis) bool {
	return p.deal.until+im.WalletMemory <= now && len(p.refs) == 0 && !p.stopped() && (p.deal.seq == 0 || p.deal.finished)
}

// snapshotDealings writes those that changed and forgets those that are over.
func (u *user) snapshotDealings(tx *Tx) {
	if u.wallet == nil {
		return
	}
	u.wallet.dealings = slices.DeleteFunc(u.wallet.dealings, func(p *pair) bool {
		if p.over(tx.Now) {
			delete(u.pairs, p.peer)
			tx.Delete = append(tx.Delete, dealingKey(p.peer))
			return true
		}
		if p.dirty {
			p.dirty = false
			tx.put(dealingKey(p.peer), p.encodeDealing())
		}
		return false
	})
}

func (p *pair) encodeDealing() []byte {
	link := p.line.append(nil)
	b := protowire.AppendTag(make([]byte, 0, len(link)+32), 1, protowire.BytesType)
	b = protowire.AppendBytes(b, link)
	b = appendUint(b, 2, uint64(p.deal.until))
	b = appendUint(b, 3, uint64(p.deal.seq))
	if p.deal.hash != 0 {
		b = protowire.AppendTag(b, 4, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, p.deal.hash)
	}
	return appendBool(b, 5, p.deal.finished)
}

// append encodes a line as a PurseLink.
func (l *line) append(b []byte) []byte {
	b = appendAddr(b, 1, l.peer)
	b = appendUint(b, 2, uint64(l.out))
	b = appendUint(b, 3, uint64(l.acked))
	b = appendUint(b, 4, uint64(l.in))
	return l.generations.append(appendRefs(b, 5, l.refs), 7)
}

func appendRefs(b []byte, num protowire.Number, refs []ref) []byte {
	if len(refs) == 0 {
		return b
	}
	size := 0
	for _, r := range refs {
		size += protowire.SizeVarint(uint64(r))
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	for _, r := range refs {
		b = protowire.AppendVarint(b, uint64(r))
	}
	return b
}

// restore takes what append wrote.
func (l *line) restore(s *storev1.PurseLink) error {
	l.out, l.acked, l.in = im.LinkSeq(s.Out), im.LinkSeq(s.Acked), im.LinkSeq(s.In)
	l.generations = generationsOf(s.Generations)
	l.refs = l.refs[:0]
	for _, r := range s.Outstanding {
		l.refs = append(l.refs, ref(r))
	}
	if uint64(len(l.refs)) != uint64(l.out-l.acked) {
		return errDamaged
	}
	return nil
}

func (u *user) restoreDealing(value []byte) error {
	var m storev1.Dealing
	if err := proto.Unmarshal(value, &m); err != nil {
		return err
	}
	peer := im.Addr{Kind: im.Kind(m.GetLink().GetPeer().GetKind()), ID: m.GetLink().GetPeer().GetId()}
	if !isPurse(peer.Kind) || u.pairs[peer] != nil {
		return errDamaged
	}
	p := u.makePair(peer)
	if err := p.line.restore(m.Link); err != nil {
		return err
	}
	*p.deal = dealing{until: im.Millis(m.UntilMs), seq: im.Seq(m.Seq), hash: m.Hash, finished: m.Finished}
	u.outstanding += p.owed()
	return nil
}

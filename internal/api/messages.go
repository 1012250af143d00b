package api

import (
	"cmp"
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

// maxPage is the most bytes of entries in one answer, unless the first entry
// alone is larger; with what surrounds them they fit a link's frame.
const maxPage = 768 << 10

const (
	defaultSyncEntries    = 100
	defaultHistoryEntries = 50
)

func (a *API) send(ctx context.Context, who *caller, req *skeinv1.SendRequest) (*skeinv1.SendResponse, error) {
	if err := checkPeer(who, req.To); err != nil {
		return nil, err
	}
	content, err := contentOf(req.Content)
	if err != nil {
		return nil, err
	}
	sent, err := a.submitSend(ctx, who.user, &im.Send{
		To: im.UserID(req.To), Device: who.device, ClientSeq: im.ClientSeq(req.ClientSeq), Content: content,
	}, req.Trace)
	if err != nil {
		return nil, err
	}
	return &skeinv1.SendResponse{
		Seq: uint64(sent.Seq), ClientSeq: uint64(sent.ClientSeq), PairId: sent.PairID, TimeMs: int64(sent.Time),
	}, nil
}

func contentOf(c *skeinv1.Content) (im.Content, error) {
	if t := c.GetType(); t < 0 || t > 255 {
		return im.Content{}, im.Errorf(im.Invalid, "unknown content type %d", t)
	}
	content := im.Content{Type: im.ContentType(c.GetType()), Body: c.GetBody()}
	return content, content.Check()
}

func (a *API) counters(ctx context.Context, who *caller, _ *skeinv1.CountersRequest) (*skeinv1.CountersResponse, error) {
	c, err := a.readCounters(ctx, who)
	if err != nil {
		return nil, err
	}
	return &skeinv1.CountersResponse{
		SendId: c.SendID, SendAckId: c.SendAckID, RecvId: c.RecvID, ClientRecvId: c.ClientRecvID,
		Head: uint64(c.Head), ClientSeq: uint64(c.ClientSeq),
	}, nil
}

func (a *API) readCounters(ctx context.Context, who *caller) (*im.CountersInfo, error) {
	return im.Ask[*im.CountersInfo](ctx, a.mailbox, im.User(who.user), &im.Counters{Device: who.device})
}

// history pages backwards. The client names the oldest entry it has, or none;
// that entry is where the conversation's chain is entered, and is left out.
func (a *API) history(ctx context.Context, who *caller, req *skeinv1.HistoryRequest) (*skeinv1.HistoryResponse, error) {
	if err := checkPeer(who, req.Peer); err != nil {
		return nil, err
	}
	peer, limit := im.UserID(req.Peer), pageSize(req.Limit, defaultHistoryEntries, im.MaxHistoryEntries)
	var raw [][]byte
	var next im.Seq
	var err error
	if req.Before == 0 {
		next, err = a.lastSeq(ctx, who.user, peer)
	} else {
		raw, next, err = a.readBefore(ctx, who.user, peer, im.Seq(req.Before), limit)
	}
	if err == nil && len(raw) == 0 && next != 0 {
		raw, next, err = a.mailbox.ReadConversation(ctx, who.user, next, limit)
	}
	if err != nil {
		return nil, err
	}
	entries, all, err := decodePage(raw, limit)
	if err != nil {
		return nil, err
	}
	res := &skeinv1.HistoryResponse{Entries: entries}
	for _, e := range entries {
		if e.Peer != req.Peer {
			return nil, im.Errorf(im.Internal, "entry %d of a conversation with %d is about %d", e.Seq, peer, e.Peer)
		}
	}
	if n := len(entries); n > 0 && (next != 0 || !all) {
		res.Before = entries[n-1].Seq
	}
	return res, nil
}

// lastSeq is where a conversation ends; 0: there is none.
func (a *API) lastSeq(ctx context.Context, user, peer im.UserID) (im.Seq, error) {
	list, err := a.contacts(ctx, user)
	if err != nil {
		return 0, err
	}
	i, ok := slices.BinarySearchFunc(list, peer, func(c im.ContactInfo, p im.UserID) int { return cmp.Compare(c.Peer, p) })
	if !ok {
		return 0, nil
	}
	return list[i].LastSeq, nil
}

// readBefore reads what comes before an entry of the conversation with peer.
// Any other entry is refused.
func (a *API) readBefore(ctx context.Context, user, peer im.UserID, before im.Seq, limit int) ([][]byte, im.Seq, error) {
	raw, next, err := a.mailbox.ReadConversation(ctx, user, before, limit+1)
	if err != nil && im.KindOf(err) != im.NotFound {
		return nil, 0, err
	}
	if err != nil {
		return nil, 0, errNotInConversation(before)
	}
	if len(raw) == 0 {
		// It was let go of, with all before it.
		return nil, 0, nil
	}
	var first skeinv1.Entry
	if err := proto.Unmarshal(raw[0], &first); err != nil {
		return nil, 0, im.Errorf(im.Internal, "entry %d: %w", before, err)
	}
	if first.Seq != uint64(before) || first.Peer != uint64(peer) {
		return nil, 0, errNotInConversation(before)
	}
	return raw[1:], next, nil
}

func errNotInConversation(seq im.Seq) error {
	return im.Errorf(im.Invalid, "entry %d is not part of this conversation", seq)
}

// pageSize is how many entries a page may have.
func pageSize(asked uint32, normal, most int) int {
	if asked == 0 {
		return normal
	}
	return int(min(asked, uint32(most)))
}

// decodePage reads entries up to a number and maxPage bytes; all reports
// whether that was all of them.
func decodePage(raw [][]byte, limit int) (entries []*skeinv1.Entry, all bool, err error) {
	entries = make([]*skeinv1.Entry, 0, min(len(raw), limit))
	size := 0
	for i, b := range raw {
		if size += len(b); i == limit || i > 0 && size > maxPage {
			return entries, false, nil
		}
		e := new(skeinv1.Entry)
		if err := proto.Unmarshal(b, e); err != nil {
			return nil, false, im.Errorf(im.Internal, "a stored entry cannot be read: %w", err)
		}
		entries = append(entries, e)
	}
	return entries, true, nil
}

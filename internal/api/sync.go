package api

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

// maxWait is the longest a poll waits, in milliseconds.
const maxWait = 60000

// sync acknowledges what the device has and returns what follows, at once if
// there is anything, else when it comes.
func (a *API) sync(ctx context.Context, who *caller, req *skeinv1.SyncRequest) (*skeinv1.SyncResponse, error) {
	limit := pageSize(req.Limit, defaultSyncEntries, im.MaxSyncEntries)
	wait := time.Duration(min(req.WaitMs, maxWait)) * time.Millisecond
	if wait > 0 && who.session == nil {
		return nil, im.Errorf(im.Invalid, "a link delivers by itself; only over HTTP a sync can wait")
	}
	kept, err := a.kept(ctx, who, req)
	if err != nil {
		return nil, err
	}
	res, err := a.follow(ctx, who, req, kept, limit, wait)
	if err == nil && who.session != nil {
		res.Generation, res.Kept = proto.Uint64(uint64(who.session.State.Generation)), kept
	}
	return res, err
}

// kept is up to where the timeline is what it was in the generation that a client
// names; nil: it is all the same, or the client names none.
func (a *API) kept(ctx context.Context, who *caller, req *skeinv1.SyncRequest) (*uint64, error) {
	if who.session == nil || req.Generation == nil || req.GetGeneration() == uint64(who.session.State.Generation) {
		return nil, nil
	}
	generation := im.Generation(req.GetGeneration())
	at, err := im.Ask[*im.Attached](ctx, a.mailbox, im.User(who.user), &im.Authenticate{
		Device: who.device, TokenHash: who.session.TokenHash, Generation: &generation})
	if err != nil || at.Kept == nil {
		return nil, err
	}
	return proto.Uint64(uint64(*at.Kept)), nil
}

// follow returns what follows what the device has.
func (a *API) follow(ctx context.Context, who *caller, req *skeinv1.SyncRequest, kept *uint64, limit int, wait time.Duration) (*skeinv1.SyncResponse, error) {
	asked := req.Cursor
	if asked != nil && kept != nil {
		asked = proto.Uint64(min(*asked, *kept))
	}
	cursor, head, err := a.position(ctx, who, asked)
	if err != nil {
		return nil, err
	}
	if cursor < head {
		raw, err := a.mailbox.ReadTimeline(ctx, who.user, cursor, limit)
		if err != nil || len(raw) > 0 {
			a.handedOut(who.user, raw)
			return page(raw, limit, head, err)
		}
	}
	if wait == 0 {
		return &skeinv1.SyncResponse{Head: uint64(head)}, nil
	}
	return a.poll(ctx, who, cursor, limit, wait)
}

// position is after which entry the device wants to read, and the timeline's
// last one. It records that the device has everything up to there.
func (a *API) position(ctx context.Context, who *caller, asked *uint64) (cursor, head im.Seq, err error) {
	known, head, err := a.state(ctx, who, asked == nil)
	if err != nil || asked == nil {
		return known, head, err
	}
	cursor = im.Seq(*asked)
	if cursor > head {
		return 0, 0, im.Errorf(im.Invalid, "cursor %d is beyond the timeline's end %d", cursor, head)
	}
	if cursor > known {
		_, err = im.Do(ctx, a.mailbox, im.User(who.user), &im.AckDelivered{Device: who.device, Seq: cursor})
	}
	return cursor, head, err
}

// state is what the mailbox knows: the device's cursor and the last entry.
// Over HTTP the token's check has told both; over a link the cursor costs a
// question and is 0 when not needed.
func (a *API) state(ctx context.Context, who *caller, needCursor bool) (cursor, head im.Seq, err error) {
	if who.session != nil {
		return who.session.State.Cursor, who.session.State.Head, nil
	}
	c, err := a.readCounters(ctx, who)
	if err != nil {
		return 0, 0, err
	}
	if !needCursor {
		return 0, c.Head, nil
	}
	list, err := a.devices(ctx, who.user)
	if err != nil {
		return 0, 0, err
	}
	i := slices.IndexFunc(list, func(d im.DeviceInfo) bool { return d.Device == who.device })
	if i < 0 {
		return 0, 0, im.Errorf(im.Unauthenticated, "the device is not logged in")
	}
	return list[i].Cursor, c.Head, nil
}

func page(raw [][]byte, limit int, head im.Seq, err error) (*skeinv1.SyncResponse, error) {
	if err != nil {
		return nil, err
	}
	entries, _, err := decodePage(raw, limit)
	if err != nil {
		return nil, err
	}
	if n := len(entries); n > 0 {
		head = max(head, im.Seq(entries[n-1].Seq))
	}
	return &skeinv1.SyncResponse{Entries: entries, Head: uint64(head)}, nil
}

// poll attaches a session for the time it takes until something comes. What
// came between the last look and the attach is delivered by the attach.
func (a *API) poll(ctx context.Context, who *caller, cursor im.Seq, limit int, wait time.Duration) (*skeinv1.SyncResponse, error) {
	place, err := a.polls.take(deviceKey{who.user, who.device})
	if err != nil {
		return nil, err
	}
	defer a.polls.leave(place)
	timer := time.NewTimer(wait)
	defer timer.Stop()

	s := &pollSink{first: make(chan delivery, 1)}
	session := a.cfg.NextSession()
	a.mailbox.Submit(im.User(who.user), &im.Attach{
		Device: who.device, TokenHash: who.session.TokenHash, Cursor: &cursor,
		Session: session, Poll: true, Sink: s,
	}, s)
	defer a.detach(ctx, who.user, session)

	select {
	case d := <-s.first:
		a.handedOut(who.user, d.entries)
		return page(d.entries, limit, d.head, d.err)
	case <-timer.C:
	case <-place.ended:
	case <-a.drain:
	case <-ctx.Done():
		return nil, im.Errorf(im.Unavailable, "the request was given up: %w", context.Cause(ctx))
	}
	return &skeinv1.SyncResponse{Head: uint64(cursor)}, nil
}

// Detaching goes on when the client is gone, and is repeated while the mailbox
// is busy: a session that nobody ends stays until its mailbox does.
const (
	detachAttempts = 5
	detachTimeout  = 5 * time.Second
)

func (a *API) detach(ctx context.Context, user im.UserID, session im.SessionID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), detachTimeout)
	defer cancel()
	var err error
	for range detachAttempts {
		_, err = im.Do(ctx, a.mailbox, im.User(user), &im.Detach{Session: session})
		if im.KindOf(err) != im.Busy {
			break
		}
		select {
		case <-time.After(time.Duration(max(1, im.AsError(err).RetryAfterMS)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if err != nil {
		a.log.Warn("a long poll's session could not be ended", "user", uint64(user), "session", uint64(session), "err", err)
	}
}

// delivery is what ends a poll.
type delivery struct {
	entries [][]byte
	head    im.Seq
	err     error
}

// pollSink takes a session's first delivery. Later ones are left to the next
// poll, which starts from the cursor the client then has.
type pollSink struct {
	first chan delivery
	// head when the session was attached; the mailbox calls in order.
	head im.Seq
}

func (s *pollSink) end(d delivery) {
	select {
	case s.first <- d:
	default:
	}
}

// Complete implements im.Completion for the Attach.
func (s *pollSink) Complete(_ im.Command, res im.Result, err error) {
	if err != nil {
		s.end(delivery{err: err})
		return
	}
	if at, ok := res.(*im.Attached); ok {
		s.head = at.Head
	}
}

// Deliver implements im.Sink.
func (s *pollSink) Deliver(_, last im.Seq, entries [][]byte) {
	s.end(delivery{entries: entries, head: max(s.head, last)})
}

// Kick implements im.Sink.
func (s *pollSink) Kick(code im.CloseCode, reason string) {
	kind := im.Unauthenticated
	if code.Reconnect() {
		kind = im.Unavailable
	}
	s.end(delivery{err: im.Errorf(kind, "%s", reason)})
}

package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/account/fakemailbox"
	"github.com/skein-im/skein/internal/im"
)

// waitForPolls returns when so many polls are attached.
func waitForPolls(t testing.TB, f *fixture, n int) {
	t.Helper()
	if err := f.mailbox.WaitSessions(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// session authenticates as a handler does.
func (f *fixture) session(t testing.TB, token string) *caller {
	t.Helper()
	s, err := f.cfg.Accounts.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return &caller{user: s.User, device: s.Device, session: s}
}

func syncRequest(cursor uint64, wait uint32) *skeinv1.SyncRequest {
	return &skeinv1.SyncRequest{Cursor: &cursor, WaitMs: wait}
}

type syncResult struct {
	res *skeinv1.SyncResponse
	err error
}

// begin starts a sync in a synctest bubble and waits until it waits.
func (f *fixture) begin(ctx context.Context, who *caller, req *skeinv1.SyncRequest) <-chan syncResult {
	result := make(chan syncResult, 1)
	go func() {
		res, err := f.sync(ctx, who, req)
		result <- syncResult{res, err}
	}()
	synctest.Wait()
	return result
}

func TestPollReturnsWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		token, _ := befriend(t, f.mailbox)
		result := f.begin(t.Context(), f.session(t, token), syncRequest(0, 60000))
		if f.Polls() != 1 || f.mailbox.Sessions() != 1 {
			t.Fatalf("%d polls, %d sessions", f.Polls(), f.mailbox.Sessions())
		}
		f.mailbox.Append(1, 2, "first")
		f.mailbox.Append(1, 2, "second")
		r := <-result
		if r.err != nil || r.res.Head != 1 || len(r.res.Entries) != 1 || string(r.res.Entries[0].Content.Body) != "first" {
			t.Errorf("polled %v, %v", r.res, r.err)
		}
		if f.Polls() != 0 || f.mailbox.Sessions() != 0 {
			t.Errorf("%d polls, %d sessions afterwards", f.Polls(), f.mailbox.Sessions())
		}
		r = <-f.begin(t.Context(), f.session(t, token), syncRequest(1, 60000))
		if r.err != nil || len(r.res.Entries) != 1 || string(r.res.Entries[0].Content.Body) != "second" {
			t.Errorf("polled on: %v, %v", r.res, r.err)
		}
	})
}

// An entry that comes after the token's check and before the attach is there.
func TestPollMissesNothingBeforeAttach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		token, _ := befriend(t, f.mailbox)
		who := f.session(t, token)
		f.mailbox.Append(1, 2, "just before")
		r := <-f.begin(t.Context(), who, syncRequest(0, 60000))
		if r.err != nil || len(r.res.Entries) != 1 || r.res.Head != 1 {
			t.Errorf("polled %v, %v", r.res, r.err)
		}
	})
}

func TestPollEndsAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		token, _ := befriend(t, f.mailbox)
		f.mailbox.Append(1, 2, "old")
		for asked, want := range map[uint32]time.Duration{1500: 1500 * time.Millisecond, 1 << 31: time.Minute} {
			begin := time.Now()
			r := <-f.begin(t.Context(), f.session(t, token), syncRequest(1, asked))
			if took := time.Since(begin); took != want || r.err != nil || len(r.res.Entries) != 0 || r.res.Head != 1 {
				t.Errorf("wait_ms %d: %v, %v after %v, want nothing after %v", asked, r.res, r.err, took, want)
			}
		}
		if f.mailbox.Sessions() != 0 {
			t.Error("a session stays")
		}
	})
}

func TestPollEndsWhenClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		token, _ := befriend(t, f.mailbox)
		ctx, cancel := context.WithCancel(t.Context())
		result := f.begin(ctx, f.session(t, token), syncRequest(0, 60000))
		cancel()
		if r := <-result; im.KindOf(r.err) != im.Unavailable {
			t.Errorf("got %v, %v", r.res, r.err)
		}
		if f.mailbox.Sessions() != 0 || f.Polls() != 0 {
			t.Errorf("%d sessions, %d polls stay", f.mailbox.Sessions(), f.Polls())
		}
	})
}

func TestPollEndsWithItsSession(t *testing.T) {
	for code, want := range map[im.CloseCode]im.ErrorKind{
		im.CloseRevoked: im.Unauthenticated, im.CloseUnavailable: im.Unavailable, im.CloseGoingAway: im.Unavailable,
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			token, _ := befriend(t, f.mailbox)
			result := f.begin(t.Context(), f.session(t, token), syncRequest(0, 60000))
			f.mailbox.Kick(code)
			if r := <-result; im.KindOf(r.err) != want {
				t.Errorf("kicked with %d: %v, want %v", code, r.err, want)
			}
		})
	}
}

func TestPollReportsRefusedAttach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		token, _ := befriend(t, f.mailbox)
		f.mailbox.Hook = func(_ im.Addr, cmd im.Command) error {
			if _, ok := cmd.(*im.Attach); ok {
				return im.Errorf(im.Busy, "full")
			}
			return nil
		}
		if r := <-f.begin(t.Context(), f.session(t, token), syncRequest(0, 60000)); im.KindOf(r.err) != im.Busy {
			t.Errorf("got %v, %v", r.res, r.err)
		}
	})
}

// The client is gone, and its session must go all the same.
func TestDetachIsRepeatedWhileBusy(t *testing.T) {
	for busy, gaveUp := range map[time.Duration]bool{300 * time.Millisecond: false, time.Minute: true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			token, _ := befriend(t, f.mailbox)
			begin := time.Now()
			f.mailbox.Hook = func(_ im.Addr, cmd im.Command) error {
				if _, ok := cmd.(*im.Detach); ok && time.Since(begin) < busy {
					return &im.Error{Kind: im.Busy, RetryAfterMS: 200}
				}
				return nil
			}
			ctx, cancel := context.WithCancel(t.Context())
			result := f.begin(ctx, f.session(t, token), syncRequest(0, 60000))
			cancel()
			<-result
			stays, said := f.mailbox.Sessions() == 1, strings.Contains(f.logged.String(), "could not be ended")
			if stays != gaveUp || said != gaveUp {
				t.Errorf("busy for %v: the session stays: %v, logged: %v", busy, stays, said)
			}
		})
	}
}

// A mailbox that never answers does not hold a request for ever.
func TestDetachGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		token, _ := befriend(t, f.mailbox)
		who := f.session(t, token)
		f.mailbox.Hook = func(im.Addr, im.Command) error {
			// Attach and Detach are lost.
			return fakemailbox.ErrLost
		}
		begin := time.Now()
		<-f.begin(t.Context(), who, syncRequest(0, 1000))
		if took := time.Since(begin); took != time.Second+detachTimeout {
			t.Errorf("took %v", took)
		}
	})
}

func TestPollsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) { c.MaxPolls = 2 })
		t1, t2 := befriend(t, f.mailbox)
		first := f.begin(t.Context(), f.session(t, t1), syncRequest(0, 60000))
		second := f.begin(t.Context(), f.session(t, t2), syncRequest(0, 60000))
		r := <-f.begin(t.Context(), f.session(t, t1), syncRequest(0, 60000))
		if im.KindOf(r.err) != im.Busy || im.AsError(r.err).RetryAfterMS == 0 {
			t.Errorf("the third: %v, %v, want busy", r.res, r.err)
		}
		if r := <-f.begin(t.Context(), f.session(t, t1), syncRequest(0, 0)); r.err != nil {
			t.Errorf("without waiting: %v", r.err)
		}
		f.Drain()
		f.Drain()
		for _, result := range []<-chan syncResult{first, second} {
			if r := <-result; r.err != nil || r.res == nil {
				t.Errorf("drained: %v, %v", r.res, r.err)
			}
		}
		if r := <-f.begin(t.Context(), f.session(t, t1), syncRequest(0, 60000)); r.err != nil {
			t.Errorf("after draining: %v", r.err)
		}
	})
}

func TestFurtherPollOfDeviceEndsOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		token, other := befriend(t, f.mailbox)
		neighbour := f.begin(t.Context(), f.session(t, other), syncRequest(0, 60000))
		var results []<-chan syncResult
		for range pollsPerDevice + 1 {
			results = append(results, f.begin(t.Context(), f.session(t, token), syncRequest(0, 60000)))
		}
		if r := <-results[0]; r.err != nil || len(r.res.Entries) != 0 {
			t.Errorf("the oldest: %v, %v", r.res, r.err)
		}
		synctest.Wait()
		if n := f.Polls(); n != pollsPerDevice+1 {
			t.Errorf("%d polls wait, want %d and the neighbour's", n, pollsPerDevice)
		}
		f.mailbox.Append(1, 2, "for all that wait")
		for _, result := range results[1:] {
			if r := <-result; r.err != nil || len(r.res.Entries) != 1 {
				t.Errorf("a younger one: %v, %v", r.res, r.err)
			}
		}
		f.mailbox.Append(2, 1, "for the neighbour")
		<-neighbour
		if len(f.polls.byDevice) != 0 || f.Polls() != 0 {
			t.Errorf("places stay: %v", f.polls.byDevice)
		}
	})
}

func TestSyncAcknowledges(t *testing.T) {
	f := newFixture(t, nil)
	token, _ := befriend(t, f.mailbox)
	acks := 0
	f.mailbox.Hook = func(_ im.Addr, cmd im.Command) error {
		if ack, ok := cmd.(*im.AckDelivered); ok {
			acks++
			if ack.Session != 0 || ack.Device != 1 {
				t.Errorf("acknowledged %+v", ack)
			}
		}
		return nil
	}
	for i := range 5 {
		f.mailbox.Append(1, 2, fmt.Sprint(i))
	}
	for _, c := range []struct {
		req  *skeinv1.SyncRequest
		acks int
		left int
	}{
		{&skeinv1.SyncRequest{}, 0, 5},
		{syncRequest(0, 0), 0, 5},
		{syncRequest(3, 0), 1, 2},
		{&skeinv1.SyncRequest{}, 1, 2},
		{syncRequest(3, 0), 1, 2},
		{syncRequest(1, 0), 1, 4},
		{syncRequest(5, 0), 2, 0},
	} {
		res, err := f.sync(t.Context(), f.session(t, token), c.req)
		if err != nil || len(res.Entries) != c.left || acks != c.acks || res.Head != 5 {
			t.Errorf("sync %v: %d entries, head %d, %d acks, %v; want %d entries, %d acks",
				c.req, len(res.GetEntries()), res.GetHead(), acks, err, c.left, c.acks)
		}
	}
	_, err := f.sync(t.Context(), f.session(t, token), syncRequest(6, 0))
	if im.KindOf(err) != im.Invalid {
		t.Errorf("a cursor beyond the end: %v", err)
	}
}

func TestSyncPageIsBounded(t *testing.T) {
	f := newFixture(t, nil)
	token, _ := befriend(t, f.mailbox)
	for range 20 {
		f.mailbox.Append(1, 2, strings.Repeat("x", im.MaxBody))
	}
	res, err := f.sync(t.Context(), f.session(t, token), &skeinv1.SyncRequest{Limit: 5000})
	if err != nil || len(res.Entries) != 11 || res.Head != 20 {
		t.Errorf("%d entries of 64 KiB, head %d, %v", len(res.GetEntries()), res.GetHead(), err)
	}
	if n := proto.Size(res); n > maxAnswer {
		t.Errorf("a page of %d bytes does not fit a frame", n)
	}
}

func TestSyncReportsUnreadableTimeline(t *testing.T) {
	f := newFixture(t, nil)
	token, _ := befriend(t, f.mailbox)
	f.mailbox.Append(1, 2, "x")
	f.mailbox.ReadHook = func(im.UserID) error { return im.Errorf(im.Unavailable, "the store is gone") }
	if _, err := f.sync(t.Context(), f.session(t, token), syncRequest(0, 1000)); im.KindOf(err) != im.Unavailable {
		t.Errorf("sync: %v", err)
	}
	if _, err := f.history(t.Context(), f.session(t, token), &skeinv1.HistoryRequest{Peer: 2}); im.KindOf(err) != im.Unavailable {
		t.Errorf("history: %v", err)
	}
}

// The whole way, with a client that goes away.
func TestPollOverHTTP(t *testing.T) {
	f := newFixture(t, nil)
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	one := dial(srv, token)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := one.Sync(ctx, connect.NewRequest(syncRequest(0, 60000)))
		gone <- err
	}()
	waitForPolls(t, f, 1)
	cancel()
	if err := <-gone; connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("the client that left: %v", err)
	}
	waitForPolls(t, f, 0)

	stays := make(chan *connect.Response[skeinv1.SyncResponse], 1)
	go func() {
		res, err := one.Sync(t.Context(), connect.NewRequest(syncRequest(0, 60000)))
		if err != nil {
			t.Error(err)
		}
		stays <- res
	}()
	waitForPolls(t, f, 1)
	f.mailbox.Append(1, 2, "hello")
	if res := <-stays; res == nil || len(res.Msg.Entries) != 1 {
		t.Errorf("polled %v", res)
	}
}

// A client that names the generation of its cursor hears what is gone, and goes on
// from there.
func TestSyncAfterLostEnd(t *testing.T) {
	f := newFixture(t, nil)
	token, _ := befriend(t, f.mailbox)
	for n := range 5 {
		f.mailbox.Append(1, 2, fmt.Sprint("first ", n))
	}
	before, err := f.sync(t.Context(), f.session(t, token), syncRequest(0, 0))
	if err != nil || before.Generation == nil || before.GetGeneration() != 0 || before.Kept != nil {
		t.Fatalf("%v, %v", before, err)
	}
	f.mailbox.Rewind(1, 70, 3)
	named := func(cursor uint64) *skeinv1.SyncRequest {
		return &skeinv1.SyncRequest{Cursor: &cursor, Generation: before.Generation}
	}
	res, err := f.sync(t.Context(), f.session(t, token), named(5))
	if err != nil || res.GetGeneration() != 70 || res.Kept == nil || res.GetKept() != 3 || res.Head != 3 || len(res.Entries) != 0 {
		t.Fatalf("%v, %v", res, err)
	}
	for n := range 4 {
		f.mailbox.Append(1, 2, fmt.Sprint("second ", n))
	}
	for cursor, want := range map[uint64]string{5: "second 0", 4: "second 0", 2: "first 2"} {
		res, err = f.sync(t.Context(), f.session(t, token), named(cursor))
		if err != nil || res.GetKept() != 3 || len(res.Entries) == 0 || string(res.Entries[0].Content.Body) != want {
			t.Fatalf("%v, %v", res, err)
		}
	}
	request := named(5)
	request.Generation = res.Generation
	if res, err = f.sync(t.Context(), f.session(t, token), request); err != nil || res.Kept != nil || len(res.Entries) != 2 {
		t.Fatalf("%v, %v", res, err)
	}
}

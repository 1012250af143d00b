package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

func numbered(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint(i)
	}
	return list
}

// An entry is acknowledged once the application has it, and not before.
func TestAcksFollowTheApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		release := make(chan struct{})
		dialFake(t, s, Options{OnEntry: func(_ *Client, e Entry) error {
			if e.Seq == 3 {
				<-release
			}
			return nil
		}})
		s.arrive(numbered(5)...)
		time.Sleep(time.Hour)
		s.look(func() {
			if !slices.Equal(s.acks, []im.Seq{2}) {
				t.Errorf("acks %v while the application has 2", s.acks)
			}
		})
		close(release)
		time.Sleep(ackDelay + time.Millisecond)
		s.look(func() {
			if !slices.Equal(s.acks, []im.Seq{2, 5}) {
				t.Errorf("acks %v", s.acks)
			}
		})
		// Many at once are acknowledged without delay, but not one by one.
		s.arrive(numbered(130)...)
		synctest.Wait()
		s.look(func() {
			if n := len(s.acks); s.cursor < 64 || n > 5 {
				t.Errorf("%d acks up to %d", n, s.cursor)
			}
		})
	})
}

func TestEntriesAreTakenByReceiving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		c := dialFake(t, s, Options{})
		s.arrive("a", "b")
		time.Sleep(time.Minute)
		if c.Cursor() != 0 {
			t.Errorf("cursor %d before anyone asked", c.Cursor())
		}
		<-c.Entries()
		synctest.Wait()
		if c.Cursor() != 1 {
			t.Errorf("cursor %d after the first", c.Cursor())
		}
	})
}

func TestCursorOfTheApplicationCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		s.arrive("a", "b", "c")
		s.cursor = 3
		from := uint64(1)
		c := dialFake(t, s, Options{Cursor: &from})
		if e := <-c.Entries(); e.Seq != 2 {
			t.Errorf("first entry %d", e.Seq)
		}
		s.cut(nil)
		synctest.Wait()
		if e := <-c.Entries(); e.Seq != 3 {
			t.Errorf("entry %d after reconnecting", e.Seq)
		}
		mustSend(t, c, "x")
		s.look(func() {
			if got := s.hellos[1].GetCursor(); got < 2 {
				t.Errorf("came back with cursor %d", got)
			}
		})
	})
}

// What an application cannot take yet stays at the server, whatever the
// server's window; sends go on.
func TestSlowApplicationLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		c := dialFake(t, s, Options{Queue: 4})
		s.arrive(numbered(100)...)
		synctest.Wait()
		c.mu.Lock()
		if c.untaken > 6 {
			t.Errorf("%d entries in a queue of 4 and deliveries of 3", c.untaken)
		}
		c.mu.Unlock()
		mustSend(t, c, "x")
		var got []Seq
		for len(got) < 101 {
			e := <-c.Entries()
			got = append(got, e.Seq)
		}
		if want := im.Seq(101); got[0] != 1 || got[100] != want || !slices.IsSorted(got) {
			t.Errorf("got %v", got)
		}
	})
}

// An application may answer from OnEntry, even when more comes in than it can
// take.
func TestSendFromOnEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		s.arrive(numbered(50)...)
		done := make(chan struct{})
		dialFake(t, s, Options{Queue: 1, Outbox: 1, OnEntry: func(c *Client, e Entry) error {
			if e.Outgoing {
				return nil
			}
			_, err := c.Send(context.Background(), e.Peer, e.Content)
			if string(e.Content.Body) == "49" {
				close(done)
			}
			return err
		}})
		<-done
		wantAccepted(t, s, numbered(50)...)
	})
}

func TestOnEntryCanEndTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		full := errors.New("disk full")
		c := dialFake(t, s, Options{OnEntry: func(_ *Client, e Entry) error {
			if e.Seq == 2 {
				return full
			}
			return nil
		}})
		s.arrive("a", "b", "c")
		<-c.Done()
		if !errors.Is(c.Err(), full) {
			t.Errorf("error %v", c.Err())
		}
		synctest.Wait()
		s.look(func() {
			if s.cursor != 1 {
				t.Errorf("cursor %d", s.cursor)
			}
		})
	})
}

func TestOutboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		c := dialFake(t, s, Options{Outbox: 3})
		s.look(func() { s.mute = true })
		receipts := make(chan ClientSeq, 10)
		answered := func(r Receipt, err error) {
			if err != nil {
				t.Error(err)
			}
			receipts <- r.ClientSeq
		}
		body := []byte("0")
		for range 3 {
			if err := c.SendAsync(9, Content{Type: ContentText, Body: body}, answered); err != nil {
				t.Fatal(err)
			}
			body[0]++
		}
		if err := c.SendAsync(9, Text("3"), answered); KindOf(err) != Busy {
			t.Errorf("into a full outbox: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.SendText(ctx, 9, "3"); KindOf(err) != Busy || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting for room: %v", err)
		}
		s.look(func() { s.mute = false })
		s.cut(nil)
		if a, b, c := <-receipts, <-receipts, <-receipts; a != 1 || b != 2 || c != 3 {
			t.Errorf("receipts %d %d %d", a, b, c)
		}
		mustSend(t, c, "3")
		wantAccepted(t, s, numbered(4)...)
	})
}

func TestSendGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		c := dialFake(t, s, Options{})
		s.look(func() { s.mute = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.SendText(ctx, 9, "a"); KindOf(err) != Unavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		s.look(func() { s.mute = false })
		mustSend(t, c, "b")
		// It was accepted all the same, as documented.
		wantAccepted(t, s, "a", "b")
	})
}

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		s.onCall = func(m *skeinv1.Call) *skeinv1.Answer {
			if m.GetMethod() == "skein.v1.ContactService/List" {
				b, err := wire.AppendMessage(nil, wire.TypePing, &skeinv1.ListContactsResponse{Contacts: []*skeinv1.Contact{{User: 5}}})
				if err != nil {
					t.Error(err)
				}
				return &skeinv1.Answer{Body: b[2:]}
			}
			return &skeinv1.Answer{Error: &skeinv1.Error{Kind: skeinv1.ErrorKind_ERROR_KIND_NOT_FOUND, Detail: "nobody"}}
		}
		c := dialFake(t, s, Options{})
		list, err := c.Contacts(t.Context())
		if err != nil || len(list) != 1 || list[0].GetUser() != 5 {
			t.Errorf("contacts %v, %v", list, err)
		}
		if _, _, err := c.LookupUser(t.Context(), "x"); KindOf(err) != NotFound {
			t.Errorf("lookup: %v", err)
		}
	})
}

func TestCallsAndLostLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		s.onCall = func(*skeinv1.Call) *skeinv1.Answer { return nil }
		c := dialFake(t, s, Options{})
		failed := make(chan error)
		go func() { failed <- c.Logout(context.Background()) }()
		synctest.Wait()
		s.cut(nil)
		if err := <-failed; KindOf(err) != Unavailable {
			t.Errorf("the link broke: %v", err)
		}
		// A call made without a link waits for the next one.
		s.look(func() { s.onCall = func(*skeinv1.Call) *skeinv1.Answer { return &skeinv1.Answer{} } })
		if c.Connected() {
			t.Fatal("there is a link already")
		}
		if err := c.Logout(t.Context()); err != nil {
			t.Error(err)
		}
		s.look(func() { s.onCall = func(*skeinv1.Call) *skeinv1.Answer { return nil } })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Logout(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no answer: %v", err)
		}
		if len(c.calls.pending) != 0 {
			t.Errorf("%d calls are still waited for", len(c.calls.pending))
		}
	})
}

func TestPlaces(t *testing.T) {
	for _, tc := range []struct {
		home string
		sent []string
		want []string
	}{
		{"tcp://h:1", nil, []string{"tcp://h:1", "tcp://h:1"}},
		{"tcp://h:1", []string{"a:2", "ws://b/link"}, []string{"tcp://a:2", "ws://b/link", "tcp://h:1", "tcp://h:1"}},
		{"tls://h:1", []string{"a:2", "tcp://b:3", "wss://c/x"}, []string{"tls://a:2", "wss://c/x", "tls://h:1"}},
		{"wss://h/link", []string{"a", "ftp://b", "ws://c", "tcp://"}, []string{"wss://a/link", "wss://h/link"}},
	} {
		p := places{home: tc.home}
		p.moved(tc.sent)
		var got []string
		for range tc.want {
			got = append(got, p.next())
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s sent to %q: tries %q, want %q", tc.home, tc.sent, got, tc.want)
		}
	}
}

package remote

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/skein-im/skein/internal/im"
)

// networks runs a test over every kind of socket.
func networks(t *testing.T, f func(t *testing.T, network string)) {
	for _, n := range []string{"tcp", "unix"} {
		t.Run(n, func(t *testing.T) { f(t, n) })
	}
}

// pair is a client of a fake mailbox.
func pair(t testing.TB, network string, sc ServerConfig, cc ClientConfig) (*fakeMailbox, *Server, *Client) {
	t.Helper()
	m := newFakeMailbox()
	ln, addr := listen(t, network)
	sc.Mailbox, cc.Addr = m, addr
	return m, serve(t, ln, sc), connect(t, cc)
}

// nothing is a sink for sessions whose deliveries do not matter.
type nothing struct{}

func (nothing) Deliver(_, _ im.Seq, _ [][]byte) {}
func (nothing) Kick(im.CloseCode, string)       {}

// staysHere is what a command says to its own process only.
var staysHere = cmpopts.IgnoreFields(im.Send{}, "Taken")

// withoutSession leaves out what belongs to the processes.
var withoutSession = []cmp.Option{
	cmpopts.IgnoreTypes(im.SessionID(0)),
	cmpopts.IgnoreFields(im.Attach{}, "Sink"),
	staysHere,
	cmpopts.EquateEmpty(),
}

// TestEveryCommandCrosses: each arrives as it was submitted, at the entity it
// was for, and each result and error comes back.
func TestEveryCommandCrosses(t *testing.T) {
	networks(t, func(t *testing.T, network string) {
		m, _, c := pair(t, network, ServerConfig{}, ClientConfig{})
		results := sampleResults(t)
		var attached im.SessionID
		for i, cmd := range sampleCommands(t) {
			switch cmd.(type) {
			case *timelineRead, *conversationRead:
				continue
			}
			cmd = full(cmd)
			switch cmd := cmd.(type) {
			case *im.Attach:
				attached, cmd.Sink = cmd.Session, nothing{}
			case *im.Detach:
				// Only those of known sessions are sent.
				cmd.Session = attached
			}
			to := im.Addr{Kind: im.Kind(1 + i%3), ID: uint64(i) << 40}
			want := full(results[i%(len(results)-1)])
			var came im.Addr
			m.script(func(to im.Addr, _ im.Command) (im.Result, error, bool) {
				came = to
				return want, nil, true
			})
			res := do(t, c, to, cmd)
			if d := cmp.Diff(want, res, unexported); d != "" {
				t.Errorf("result of %T (-given +received):\n%s", cmd, d)
			}
			got := m.last()
			if d := cmp.Diff(cmd, got, withoutSession...); d != "" || came != to {
				t.Errorf("%T for %s came to %s (-sent +received):\n%s", cmd, to, came, d)
			}
		}
		m.script(func(im.Addr, im.Command) (im.Result, error, bool) {
			return nil, &im.Error{Kind: im.Stale, Detail: "too old", Expected: 9}, true
		})
		_, err := im.Do(within(t), c, im.User(1), &im.Send{ClientSeq: 1})
		if e := im.AsError(err); e.Kind != im.Stale || e.Detail != "too old" || e.Expected != 9 {
			t.Errorf("the error came as %+v", e)
		}
	})
}

func TestReadsCross(t *testing.T) {
	networks(t, func(t *testing.T, network string) {
		m, _, c := pair(t, network, ServerConfig{MaxReads: 2}, ClientConfig{})
		m.mu.Lock()
		m.read = func(user im.UserID, from im.Seq, limit int) ([][]byte, im.Seq, error) {
			if user == 404 {
				return nil, 0, im.Errorf(im.NotFound, "nobody")
			}
			return [][]byte{{byte(user)}, {byte(from)}, {byte(limit)}, make([]byte, 200<<10)}, from - 1, nil
		}
		m.mu.Unlock()
		var all sync.WaitGroup
		for i := range 8 {
			user := im.UserID(i + 1)
			all.Go(func() {
				got, err := c.ReadTimeline(within(t), user, 7, 9)
				if err != nil || len(got) != 4 || got[0][0] != byte(user) || got[1][0] != 7 || got[2][0] != 9 || len(got[3]) != 200<<10 {
					t.Errorf("timeline of user %d: %d entries, %v", user, len(got), err)
				}
			})
		}
		all.Wait()
		got, next, err := c.ReadConversation(within(t), 5, 8, 1)
		if err != nil || len(got) != 4 || next != 7 {
			t.Errorf("conversation: %d entries, next %d, %v", len(got), next, err)
		}
		if _, _, err := c.ReadConversation(within(t), 404, 8, 1); im.KindOf(err) != im.NotFound {
			t.Errorf("conversation of nobody: %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := c.ReadTimeline(ctx, 5, 0, 1); im.KindOf(err) != im.Unavailable || !errors.Is(err, context.Canceled) {
			t.Errorf("a read whose caller has left: %v", err)
		}
	})
}

// TestUnknownCommand: a server that is a version behind says so, and the link
// goes on.
func TestUnknownCommand(t *testing.T) {
	_, s, c := pair(t, "tcp", ServerConfig{}, ClientConfig{})
	do(t, c, im.User(1), &im.Counters{})
	c.mu.Lock()
	p := newPending(im.User(1), &im.Counters{}, nil)
	later := *p.codec
	later.code = 1 << 30
	p.codec = &later
	answer := make(chan error, 1)
	p.done = im.CompletionFunc(func(_ im.Command, _ im.Result, err error) { answer <- err })
	c.mu.Unlock()
	if ok, err := c.enqueue(&p); !ok {
		t.Fatal(err)
	}
	if err := <-answer; im.KindOf(err) != im.Unimplemented {
		t.Errorf("answered %v", err)
	}
	do(t, c, im.User(1), &im.Counters{})
	if st := s.Stats(); st.Unknown != 1 || st.Accepted != 1 {
		t.Errorf("stats %+v", st)
	}
}

// foreign is a command that only this test knows.
type foreign struct{ im.Command }

func TestCommandsThatCannotBeSubmitted(t *testing.T) {
	_, _, c := pair(t, "tcp", ServerConfig{}, ClientConfig{})
	do(t, c, im.User(1), &im.Attach{Session: 5, Sink: nothing{}})
	for _, bad := range []struct {
		cmd  im.Command
		want im.ErrorKind
	}{
		{&foreign{}, im.Unimplemented},
		{&im.Attach{Session: 5, Sink: nothing{}}, im.Invalid},
		{&im.Attach{Session: 6}, im.Invalid},
		{&im.Attach{Sink: nothing{}}, im.Invalid},
		{&im.Provision{TokenHashes: make([][32]byte, maxFrame/32)}, im.TooLarge},
	} {
		if _, err := im.Do(within(t), c, im.User(1), bad.cmd); im.KindOf(err) != bad.want {
			t.Errorf("%T: %v, want %s", bad.cmd, err, bad.want)
		}
	}
	do(t, c, im.User(1), &im.Counters{})
}

// TestSessionsOfTwoProcesses: the same identifier in two processes is two
// sessions to the mailbox, and resumption names the one meant.
func TestSessionsOfTwoProcesses(t *testing.T) {
	m, _, a := pair(t, "tcp", ServerConfig{}, ClientConfig{})
	b := connect(t, ClientConfig{Addr: a.cfg.Addr})
	do(t, a, im.User(1), &im.Attach{Session: 1, Sink: nothing{}})
	first := m.last().(*im.Attach).Session
	do(t, b, im.User(1), &im.Attach{Session: 1, Sink: nothing{}})
	if second := m.last().(*im.Attach).Session; first == second || first == 0 || second == 0 {
		t.Fatalf("the mailbox knows them as %d and %d", first, second)
	}
	do(t, a, im.User(1), &im.Attach{Session: 2, Resume: &im.Resume{Session: 1, After: 3}, Sink: nothing{}})
	if got := m.last().(*im.Attach).Resume; got.Session != first || got.After != 3 {
		t.Fatalf("resumes %+v, want session %d", got, first)
	}
	do(t, a, im.User(1), &im.Send{Session: 1, ClientSeq: 1})
	if got := m.last().(*im.Send).Session; got != first {
		t.Fatalf("Send about session %d, want %d", got, first)
	}
	do(t, a, im.User(1), &im.AckDelivered{})
	if got := m.last().(*im.AckDelivered).Session; got != 0 {
		t.Fatalf("no session became %d", got)
	}
}

// TestOrderOfASession: answer to Attach, deliveries and answers to sends in the
// order of the mailbox; after Kick, nothing.
func TestOrderOfASession(t *testing.T) {
	m, s, c := pair(t, "unix", ServerConfig{}, ClientConfig{})
	var trace []string
	ended := make(chan struct{})
	sink := traced{&trace, ended}
	m.script(func(_ im.Addr, cmd im.Command) (im.Result, error, bool) { return nil, nil, false })
	done := im.CompletionFunc(func(cmd im.Command, _ im.Result, err error) {
		trace = append(trace, typeName(cmd))
	})
	c.Submit(im.User(1), &im.Attach{Session: 1, Sink: sink}, done)
	m.waitFor(func(got []im.Command) bool { return len(got) == 1 })
	m.release(func(im.Command) im.Result { return &im.Attached{} })
	far := m.sink(im.User(1))
	far.Deliver(1, 2, [][]byte{{1}, {2}})
	c.Submit(im.User(1), &im.Send{Session: 1, ClientSeq: 1}, done)
	m.waitFor(func(got []im.Command) bool { return len(got) == 2 })
	m.release(func(im.Command) im.Result { return &im.Sent{} })
	far.Deliver(4, 4, [][]byte{{4}})
	far.Kick(im.CloseReplaced, "replaced")
	far.Deliver(5, 5, [][]byte{{5}})
	<-ended
	do(t, c, im.User(1), &im.Detach{Session: 1})
	want := []string{"*Attach", "deliver 1-2", "*Send", "deliver 4-4", "kick 202 replaced"}
	if d := cmp.Diff(want, trace); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if c.Stats().Sessions != 0 || s.Stats().Sessions != 0 {
		t.Errorf("sessions are left: %d here, %d there", c.Stats().Sessions, s.Stats().Sessions)
	}
}

// TestSessionsGoAway with Detach, and with an Attach that fails.
func TestSessionsGoAway(t *testing.T) {
	m, s, c := pair(t, "tcp", ServerConfig{}, ClientConfig{})
	m.script(func(im.Addr, im.Command) (im.Result, error, bool) {
		return nil, im.Errorf(im.Unauthenticated, "no"), true
	})
	if _, err := im.Do(within(t), c, im.User(1), &im.Attach{Session: 1, Sink: nothing{}}); im.KindOf(err) != im.Unauthenticated {
		t.Fatal(err)
	}
	if c.Stats().Sessions+s.Stats().Sessions != 0 {
		t.Error("a session is left of an Attach that failed")
	}
	m.script(nil)
	do(t, c, im.User(1), &im.Attach{Session: 2, Sink: nothing{}})
	if c.Stats().Sessions != 1 || s.Stats().Sessions != 1 {
		t.Error("a session is missing")
	}
	do(t, c, im.User(1), &im.Detach{Session: 2})
	if c.Stats().Sessions+s.Stats().Sessions != 0 {
		t.Error("a session is left after its Detach")
	}
}

// TestLargeDeliveries go in several frames.
func TestLargeDeliveries(t *testing.T) {
	m, _, c := pair(t, "tcp", ServerConfig{}, ClientConfig{})
	r := &recorder{make(chan im.Seq, 100), make(chan im.CloseCode, 1)}
	do(t, c, im.User(1), &im.Attach{Session: 1, Sink: r})
	var entries [][]byte
	for range 50 {
		entries = append(entries, make([]byte, 70<<10))
	}
	m.sink(im.User(1)).Deliver(1, 50, entries)
	for want := im.Seq(1); want <= 50; want++ {
		if got := <-r.delivered; got != want {
			t.Fatalf("entry %d came where %d was due", got, want)
		}
	}
	if st := c.Stats(); st.Entries != 50 || st.Deliveries < 3 {
		t.Errorf("%d entries in %d deliveries", st.Entries, st.Deliveries)
	}
}

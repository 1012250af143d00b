package storetest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
)

// faulty is a store that fails in one way or another.
type faulty struct {
	store.Store
	commits atomic.Int64
	// commit does every seventh commit, read is what is read instead of what is
	// there; nil: the store is sound.
	commit func(s store.Store, b *store.Batch) error
	read   func([]store.Entry) []store.Entry
}

func (f *faulty) Commit(ctx context.Context, b *store.Batch) error {
	if n := f.commits.Add(1); f.commit != nil && n%7 == 0 {
		return f.commit(f.Store, b)
	}
	return f.Store.Commit(ctx, b)
}

func (f *faulty) ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]store.Entry, error) {
	es, err := f.Store.ReadLog(ctx, a, from, limit, maxBytes)
	if f.read != nil {
		es = f.read(es)
	}
	return es, err
}

var errGone = errors.New("no answer")

// TestChat: a chat on a store that keeps its promises loses nothing, whatever fails;
// on one that does not, what is lost is counted.
func TestChat(t *testing.T) {
	for name, test := range map[string]struct {
		commit             func(store.Store, *store.Batch) error
		read               func([]store.Entry) []store.Entry
		lost, fails, wrong bool
	}{
		"nothing fails": {},
		"commits fail":  {commit: func(store.Store, *store.Batch) error { return errGone }, fails: true},
		"answers fail": {commit: func(s store.Store, b *store.Batch) error {
			return errors.Join(s.Commit(context.Background(), b), errGone)
		}, fails: true},
		"entries are lost": {read: func(es []store.Entry) []store.Entry { return es[:max(0, len(es)-3)] }, lost: true},
		"entries are changed": {read: func(es []store.Entry) []store.Entry {
			if len(es) > 2 {
				es[1].Value = []byte("x")
			}
			return es
		}, lost: true},
		"entries are nobody's": {read: func(es []store.Entry) []store.Entry {
			if len(es) > 2 {
				es = append(es, store.Entry{Seq: 1, Value: []byte("x")})
			}
			return es
		}, wrong: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &faulty{Store: memstore.New(time.Now), commit: test.commit, read: test.read}
			c := StartChat(t, ChatConfig{Open: func() store.Store { return s }, Chatters: 2, Users: 3})
			c.Await(20)
			r, err := c.end()
			if errors.Is(err, errForeign) != test.wrong || err != nil && !test.wrong {
				t.Fatal(err)
			}
			if (r.Lost > 0) != test.lost || (r.Recoveries > 0) != test.fails || r.Acked < 120 && !test.wrong {
				t.Errorf("%v", r)
			}
		})
	}
}

// TestChatThatIsLost: entries that are gone when a chatter has to find out what
// became of a commit are missed, though others are in their place.
func TestChatThatIsLost(t *testing.T) {
	s := &faulty{Store: memstore.New(time.Now)}
	c := StartChat(t, ChatConfig{Open: func() store.Store { return s }, Chatters: 1, Users: 2})
	c.Await(10)
	c.stop()
	if err := <-c.done; err != nil {
		t.Fatal(err)
	}
	ch := c.Chatters[0]
	s.read = func(es []store.Entry) []store.Entry { return es[:max(0, len(es)-4)] }
	if err := ch.acquire(context.Background()); err != nil {
		t.Fatal(err)
	}
	if ch.lost != 8 {
		t.Errorf("%d of 8 lost entries were missed", ch.lost)
	}
	if r := (ChatResult{Acked: 5, Lost: ch.lost}).String(); !strings.Contains(r, "5 entries acknowledged, 8 lost") {
		t.Error(r)
	}
}

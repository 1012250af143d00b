package entity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// picture writes down the state of a user that survives: all of it after a
// snapshot; without acks and cursors, which have no event, otherwise.
func picture(u *user, acks bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "head %d exists %v name %q send %d recv %d\n", u.head, u.exists, u.name, u.sendID, u.recvID)
	if acks {
		fmt.Fprintf(&b, "acked %d read %d outstanding %d\n", u.sendAckID, u.clientRecvID, u.outstanding)
	}
	for _, p := range u.order {
		fmt.Fprintf(&b, "pair %v contact %d blocked %v note %q yes %d out %d in %d send %d last %d",
			p.peer, p.contact, p.blocked, p.note, p.yes, p.out, p.in, p.sendID, p.lastSeq)
		b.WriteString(lives(&p.line, u.forks))
		if acks {
			fmt.Fprintf(&b, " acked %d %d refs %v", p.acked, p.sendAckID, p.refs)
		}
		b.WriteString("\n")
	}
	for _, d := range u.devices {
		fmt.Fprintf(&b, "device %d %x %q created %d revoked %v seq %d answers %v", d.id, d.tokenHash[:2], d.name, d.created, d.revoked, d.clientSeq, d.kept())
		if acks {
			fmt.Fprintf(&b, " cursor %d", d.cursor)
		}
		b.WriteString("\n")
	}
	balance, statement := u.balance()
	fmt.Fprintf(&b, "wallet %d %d\n", balance, statement)
	for _, p := range slices.SortedFunc(slices.Values(u.dealings()), func(a, b *pair) int { return strings.Compare(dealingKey(a.peer), dealingKey(b.peer)) }) {
		fmt.Fprintf(&b, "dealing %v %+v out %d in %d%s", p.peer, *p.deal, p.out, p.in, lives(&p.line, u.forks))
		if acks {
			fmt.Fprintf(&b, " acked %d refs %v", p.acked, p.refs)
		}
		b.WriteString("\n")
	}
	for _, id := range slices.Sorted(maps.Keys(u.early)) {
		fmt.Fprintf(&b, "early %d to %d %q\n", id, u.early[id].to, u.early[id].content.Body)
	}
	return b.String()
}

func (u *user) dealings() []*pair {
	if u.wallet == nil {
		return nil
	}
	return u.wallet.dealings
}

// world of the test: a user under test and peers that answer it.
type party struct {
	t     *rapid.T
	a     *actor
	peers []*actor
	seq   map[im.DeviceID]im.ClientSeq
	count int
}

func newParty(t *rapid.T) *party {
	p := &party{t: t, a: newUserActor(t, 1, 2, 3), seq: map[im.DeviceID]im.ClientSeq{}}
	for id := range im.UserID(3) {
		p.peers = append(p.peers, newUserActor(t, id+2, 1))
	}
	return p
}

func (p *party) peer() im.UserID { return im.UserID(rapid.IntRange(2, 5).Draw(p.t, "peer")) }

func (p *party) device() im.DeviceID { return im.DeviceID(rapid.IntRange(1, 3).Draw(p.t, "device")) }

// act does one random thing to the user; errors are part of the game.
func (p *party) act() {
	p.count++
	body := fmt.Sprint("body ", p.count)
	switch rapid.IntRange(0, 12).Draw(p.t, "action") {
	case 0, 1, 2:
		d := p.device()
		_, err := p.a.do(&im.Send{To: p.peer(), Device: d, ClientSeq: p.seq[d] + 1, Content: text(body)})
		if err == nil || im.KindOf(err) == im.NotContact || im.KindOf(err) == im.Blocked {
			p.seq[d]++
		}
	case 3:
		p.a.do(numbered(p.peer(), uint64(rapid.IntRange(1, 40).Draw(p.t, "send id")), body))
	case 4, 5:
		p.a.do(contact(rapid.SampledFrom(contactOps).Draw(p.t, "op"), p.peer()))
	case 6, 7:
		peer := rapid.SampledFrom(p.peers).Draw(p.t, "sender")
		peer.do(&im.Send{To: 1, Device: 1, Content: text(body)})
		peer.do(contact(rapid.SampledFrom(contactOps).Draw(p.t, "peer's op"), 1))
	case 8, 9:
		p.exchange()
	case 10:
		p.a.do(&im.AckDelivered{Device: p.device(), Seq: im.Seq(rapid.Uint64Max(uint64(len(p.a.log))).Draw(p.t, "cursor"))})
	case 11:
		if rapid.Bool().Draw(p.t, "create") {
			p.a.do(&im.CreateDevice{Name: body, TokenHash: [32]byte{byte(p.count)}})
		} else {
			p.a.do(&im.RevokeDevice{Device: p.device()})
		}
	case 12:
		p.a.advance(5000)
		p.a.snapshot()
	}
}

func (p *party) exchange() {
	all := append([]*actor{p.a}, p.peers...)
	if rapid.Bool().Draw(p.t, "one way") {
		p.a.out = nil
	}
	exchange(all...)
}

// Whatever happened, the state in the store is the state in memory: without
// acks and cursors at any time, all of it after a snapshot.
func TestReplayEquivalence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newParty(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			p.act()
			if live, stored := picture(p.a.user(), false), picture(p.a.load().(*user), false); live != stored {
				t.Fatalf("live:\n%s\nstored:\n%s", live, stored)
			}
			switch rapid.IntRange(0, 9).Draw(t, "restart") {
			case 0:
				p.a.restart()
			case 1:
				one := rapid.SampledFrom(append(p.peers, p.a)).Draw(t, "goes on from a copy")
				one.goOn(one.copied(), one.generation+1)
			}
		}
		p.a.snapshot()
		if live, stored := picture(p.a.user(), true), picture(p.a.load().(*user), true); live != stored {
			t.Fatalf("after a snapshot, live:\n%s\nstored:\n%s", live, stored)
		}
		checkRecords(t, p.a)
	})
}

// checkRecords reads the records with the generated code.
func checkRecords(t *rapid.T, a *actor) {
	u := a.user()
	var head storev1.UserHead
	read(t, a, headKey, &head)
	if head.Seq != uint64(u.head) || head.SendId != u.sendID || head.SendAckId != u.sendAckID || head.RecvId != u.recvID ||
		head.ClientRecvId != u.clientRecvID || head.Exists != u.exists || head.Pending != u.marked {
		t.Fatalf("head %v of %s", &head, picture(u, true))
	}
	var page storev1.PairPage
	read(t, a, pageKey(0), &page)
	if len(page.Pairs) != len(u.order) {
		t.Fatalf("%d of %d pairs", len(page.Pairs), len(u.order))
	}
	for _, d := range u.devices {
		var m storev1.DeviceState
		read(t, a, deviceKey(d.id), &m)
		if m.Device != uint32(d.id) || m.Cursor != uint64(d.cursor) || len(m.Answers) != len(d.kept()) {
			t.Fatalf("device %v", &m)
		}
	}
	for id := range u.early {
		var m storev1.EarlySend
		read(t, a, earlyKey(id), &m)
		if m.SendId != id || string(m.Content.Body) != string(u.early[id].content.Body) {
			t.Fatalf("early send %v", &m)
		}
	}
	if n := 2 + len(u.devices) + len(u.early); len(a.records) != n {
		t.Fatalf("%d records, want %d", len(a.records), n)
	}
}

func read(t *rapid.T, a *actor, key string, m proto.Message) {
	value, ok := a.records[key]
	if err := proto.Unmarshal(value, m); err != nil || !ok {
		t.Fatalf("record %q: %v (%v)", key, err, ok)
	}
}

// Pairs beyond a page, and only pages that changed are written again.
func TestPages(t *testing.T) {
	var friends []im.UserID
	for i := range im.UserID(3*pageSize + 5) {
		friends = append(friends, i+2)
	}
	a := newUserActor(t, 1, friends...)
	a.must(send(friends[pageSize], 1, "x"))
	tx := &Tx{Self: a.addr}
	a.ent.Snapshot(tx)
	var keys []string
	for _, r := range tx.Put {
		keys = append(keys, r.Key)
	}
	if want := []string{headKey, pageKey(1), deviceKey(1)}; !slices.Equal(keys, want) {
		t.Fatalf("wrote %v, want %v", keys, want)
	}
	a.restart()
	if got, want := picture(a.load().(*user), true), picture(a.user(), true); got != want || len(a.user().order) != len(friends) {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

// A log that does not follow is not replayed.
func TestReplayRefusesGaps(t *testing.T) {
	a := newUserActor(t, 1, 2)
	a.must(send(2, 1, "x"))
	a.must(send(2, 2, "y"))
	u := newUser(1)
	if err := u.Replay(im.LogEntry{Seq: 2, Value: a.log[1]}); im.KindOf(err) != im.Internal {
		t.Fatalf("got %v", err)
	}
	if err := u.Replay(im.LogEntry{Seq: 1, Value: []byte{0xff}}); im.KindOf(err) != im.Internal {
		t.Fatalf("got %v", err)
	}
}

func TestRestoreRefusesDamage(t *testing.T) {
	for key, value := range map[string][]byte{
		"x": {}, headKey: {0xff}, pageKey(0): {0xff}, deviceKey(1): {8, 1}, earlyKey(1): {0xff}, "e": {}, "ezz": {},
		pageKey(1): {0x0a, 2, 40, 3},
	} {
		if _, err := newUser(1).Restore([]im.Record{{Key: key, Value: value}}); im.KindOf(err) != im.Internal {
			t.Errorf("record %q = %x: %v", key, value, err)
		}
	}
}

// Whatever is in the records, reading them does not panic, and what can be
// read can be written and read again.
func FuzzRestore(f *testing.F) {
	a := newUserActor(f, 1, 2, 3)
	a.must(send(2, 1, "x"))
	a.must(numbered(3, 9, "early"))
	a.refuses(send(9, 2, "x"), im.NotContact)
	a.snapshot()
	for _, key := range slices.Sorted(maps.Keys(a.records)) {
		f.Add(key, a.records[key])
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		u := newUser(1)
		if _, err := u.Restore([]im.Record{{Key: key, Value: value}}); err != nil {
			return
		}
		tx := &Tx{Self: im.User(1), Jitter: func(int64) int64 { return 0 }}
		u.Start(tx)
		u.Snapshot(tx)
		back := newUser(1)
		for _, r := range tx.Put {
			if _, err := back.Restore([]im.Record{r}); err != nil {
				t.Fatalf("record %q = %x is written as %q = %x, which cannot be read: %v", key, value, r.Key, r.Value, err)
			}
		}
	})
}

package standby

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
	"github.com/skein-im/skein/internal/wire"
)

// careful refuses what a store in memory takes for a mistake of the program, as
// engines on other servers do. Slots are acquired by who first writes to them: all
// of them would take longer than everything else that a fuzzer does.
type careful struct{ *memstore.Store }

func (c careful) Commit(ctx context.Context, b *store.Batch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	for i := range b.Changes {
		if slot := b.Changes[i].Addr.Slot(); c.Epoch(slot) == 0 {
			if _, err := c.Acquire(ctx, owner, []im.Slot{slot}); err != nil {
				return err
			}
		}
	}
	return c.Store.Commit(ctx, b)
}

// frameOf is a frame that can be written.
func frameOf(f *testing.F, t wire.Type, m proto.Message) []byte {
	b, err := appendFrame(nil, t, m)
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// FuzzFollower lets a node say anything after its greeting: the standby hangs
// up at worst, and what it tells the next one is what its store says.
func FuzzFollower(f *testing.F) {
	slot := uint32(im.User(1).Slot())
	addr := addrToProto(im.User(1))
	change := &storev1.StandbyChanges{Slot: slot, Position: 1, Changes: []*storev1.StandbyChange{
		{Addr: addr, First: 1, Append: [][]byte{{1}}, Put: []*storev1.StandbyRecord{{Key: "k"}}, Delete: []string{"d"}, Pending: 1}}}
	ask := frameOf(f, frameAsk, &storev1.StandbyAsk{Slots: []uint32{slot}, Epochs: []uint64{1}})
	changes := frameOf(f, frameChanges, change)
	begin := frameOf(f, frameCopyBegin, &storev1.StandbyCopy{Slot: slot, Epoch: 1})
	logs := frameOf(f, frameLogs, &storev1.StandbyLogs{Slot: slot, Logs: []*storev1.StandbyLog{{Addr: addr, First: 1, Last: 2}}})
	entity := frameOf(f, frameEntity, &storev1.StandbyEntity{Slot: slot, Addr: addr, First: 2, Append: [][]byte{{2}}, Whole: true})
	end := frameOf(f, frameCopyEnd, &storev1.StandbyCopy{Slot: slot, Until: 1, Entities: []*storev1.Addr{addr}})
	f.Add(slices.Concat(ask, changes, frameOf(f, framePing, nil)))
	f.Add(slices.Concat(begin, logs, entity, end, changes))
	f.Fuzz(func(t *testing.T, said []byte) {
		st := careful{memstore.New(time.Now)}
		fo := newFollower(FollowerConfig{Engine: st, Region: "home", Logger: slog.New(slog.DiscardHandler)}, slices.Repeat([]im.Epoch{1}, im.Slots))
		defer fo.Close()
		listen(t, fo, said)
		for slot := range fo.copies {
			r := &fo.copies[slot]
			if r.doubtful || r.position == (position{}) && st.Epoch(im.Slot(slot)) == 0 {
				continue
			}
			if p, err := readPosition(t.Context(), st, im.Slot(slot)); err != nil || p != r.position {
				t.Fatalf("slot %d is at %+v, and in the store at %+v (%v)", slot, r.position, p, err)
			}
		}
	})
}

// listen lets a Follower hear what a node says, and returns when it has hung up.
func listen(t *testing.T, fo *Follower, said []byte) {
	near, far := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = fo.session(far)
		far.Close()
	}()
	c := newConn(near)
	if err := c.send(frameHello, &storev1.StandbyHello{Region: "home"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.receive(helloFrame); err != nil {
		t.Fatal(err)
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for {
			if _, _, err := c.receive(maxFrame); err != nil {
				return
			}
		}
	}()
	_ = c.write(said)
	near.Close()
	<-heard
	<-ended
}

// FuzzSource lets a standby say anything to a node: the node hangs up at worst,
// and what it has queued stays in order.
func FuzzSource(f *testing.F) {
	a := im.User(1)
	at := func(number, epoch uint64, broken bool) []byte {
		return frameOf(f, framePositions, &storev1.StandbyPositions{Slots: []*storev1.StandbyPosition{
			{Slot: uint32(a.Slot()), Position: number, Epoch: epoch, Broken: broken}}})
	}
	has := frameOf(f, frameLogs, &storev1.StandbyLogs{Slot: uint32(a.Slot()), Logs: []*storev1.StandbyLog{{Addr: addrToProto(a), Last: 1}}})
	f.Add(slices.Concat(at(1, 1, false), at(2, 0, false), at(4, 0, false)))
	f.Add(slices.Concat(at(0, 1, true), has, at(3, 0, false)))
	f.Add(frameOf(f, framePositions, &storev1.StandbyPositions{Slots: []*storev1.StandbyPosition{
		{Slot: uint32(a.Slot()), Position: 9, Epoch: 1, Stale: true}}}))
	f.Fuzz(func(t *testing.T, said []byte) {
		st := memstore.New(time.Now)
		s := newSource(Config{Engine: st, Region: "home", MaxQueuedBytes: 100, Logger: slog.New(slog.DiscardHandler)})
		epochs, err := s.Acquire(t.Context(), "node", []im.Slot{a.Slot()})
		if err != nil {
			t.Fatal(err)
		}
		l := &sourceLink{src: s, copies: make(chan []im.Slot, im.Slots)}
		for first := im.Seq(1); first < 100; first++ {
			b := &store.Batch{Changes: []store.Change{{Addr: a, Epoch: epochs[0], First: first, Append: [][]byte{{1}}}}}
			if err := s.Commit(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if said, err = l.step(said); err != nil || len(said) == 0 {
				return
			}
			l.check(t)
		}
	})
}

// step does what the goroutines of a link do: it collects what is to be written,
// begins and ends copies, and takes one frame.
func (l *sourceLink) step(said []byte) (rest []byte, err error) {
	if _, err := l.src.collect(nil, l.copies); err != nil {
		return nil, err
	}
	after := map[im.Slot]uint64{}
	for _, slot := range l.waiting(nil) {
		_, after[slot] = l.src.beginCopy(slot, make(chan []im.Seq, 1))
	}
	typ, payload, n, err := wire.Parse(said, maxFrame)
	if err != nil || n == 0 {
		return nil, err
	}
	_, m, err := decode(typ, payload)
	switch m := m.(type) {
	case *storev1.StandbyPositions:
		err = l.src.heard(m)
	case *storev1.StandbyLogs:
		err = l.src.wanted(m)
	}
	for slot, number := range after {
		l.src.endCopy(slot, number)
	}
	return said[n:], err
}

// check compares a Source's books.
func (l *sourceLink) check(t *testing.T) {
	queued := 0
	for at := range l.src.slots {
		sl := &l.src.slots[at]
		bytes := 0
		for _, q := range sl.queue {
			bytes += len(q.frame)
		}
		queued += bytes
		if sl.bytes != bytes || sl.sent > len(sl.queue) || sl.copied > sl.position || uint64(len(sl.queue)) > sl.position {
			t.Fatalf("slot %d: %d bytes are queued and counted as %d, %d of %d commits are sent, the copy has %d of %d",
				at, bytes, sl.bytes, sl.sent, len(sl.queue), sl.copied, sl.position)
		}
	}
	if queued != l.src.queued {
		t.Fatalf("%d bytes are queued, and counted as %d", queued, l.src.queued)
	}
}

// FuzzPosition reads what a store may hold in the place of a slot's position.
func FuzzPosition(f *testing.F) {
	for _, r := range (position{number: 300, until: 7, epoch: 1}).records() {
		f.Add(r.Key, r.Value)
	}
	f.Add(keyGeneration, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02})
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		st := careful{memstore.New(time.Now)}
		write := func(recs ...store.Record) error {
			return st.Commit(t.Context(), &store.Batch{Changes: []store.Change{{Addr: positions()[0], Epoch: 1, Put: recs}}})
		}
		if write(store.Record{Key: key, Value: value}) != nil {
			return
		}
		if _, err := GenerationOf(t.Context(), st); err != nil && im.KindOf(err) != im.Internal {
			t.Fatal(err)
		}
		p, err := readPosition(t.Context(), st, 0)
		if err != nil {
			return
		}
		if err := write(p.records()...); err != nil {
			t.Fatal(err)
		}
		if again, err := readPosition(t.Context(), st, 0); err != nil || again != p {
			t.Fatalf("%+v is read as %+v (%v)", p, again, err)
		}
	})
}

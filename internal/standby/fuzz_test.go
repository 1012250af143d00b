package standby

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
)

// careful refuses what a store in memory takes for a mistake of the program, as
// engines on other servers do.
type careful struct{ *memstore.Store }

func (c careful) Commit(ctx context.Context, b *store.Batch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return c.Store.Commit(ctx, b)
}

// FuzzFollower lets a node say anything after its greeting: the standby hangs
// up at worst, and says the truth to the next one.
func FuzzFollower(f *testing.F) {
	slot := uint32(im.User(1).Slot())
	addr := addrToProto(im.User(1))
	seed := func(frames ...[]byte) {
		var all []byte
		for _, b := range frames {
			all = append(all, b...)
		}
		f.Add(all)
	}
	change := &storev1.StandbyChanges{Slot: slot, Position: 1, Changes: []*storev1.StandbyChange{
		{Addr: addr, First: 1, Append: [][]byte{{1}}, Put: []*storev1.StandbyRecord{{Key: "k"}}, Delete: []string{"d"}, Pending: 1}}}
	ask, _ := appendFrame(nil, frameAsk, &storev1.StandbyAsk{Slots: []uint32{slot}, Epochs: []uint64{1}})
	changes, _ := appendFrame(nil, frameChanges, change)
	begin, _ := appendFrame(nil, frameCopyBegin, &storev1.StandbyCopy{Slot: slot, Epoch: 1})
	logs, _ := appendFrame(nil, frameLogs, &storev1.StandbyLogs{Slot: slot, Logs: []*storev1.StandbyLog{{Addr: addr, First: 1, Last: 2}}})
	entity, _ := appendFrame(nil, frameEntity, &storev1.StandbyEntity{Slot: slot, Addr: addr, First: 2, Append: [][]byte{{2}}, Whole: true})
	end, _ := appendFrame(nil, frameCopyEnd, &storev1.StandbyCopy{Slot: slot, Until: 1, Entities: []*storev1.Addr{addr}})
	ping, _ := appendFrame(nil, framePing, nil)
	seed(ask, changes, ping)
	seed(begin, logs, entity, end, changes)
	f.Fuzz(func(t *testing.T, said []byte) {
		st := careful{memstore.New(time.Now)}
		fo, err := NewFollower(t.Context(), FollowerConfig{Engine: st, Region: "home", Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer fo.Close()
		near, far := net.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- fo.session(far); far.Close() }()
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
	})
}

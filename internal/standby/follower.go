package standby

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/accept"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// FollowerConfig is what a Follower needs.
type FollowerConfig struct {
	Engine Engine
	// Region is whose copy it keeps.
	Region string
	Logger *slog.Logger
}

// owner is the Follower's name in its store.
const owner = "standby"

// maxSources is how many nodes may be connected.
const maxSources = 256

// Follower keeps the copy.
type Follower struct {
	cfg    FollowerConfig
	ctx    context.Context
	cancel context.CancelFunc
	epochs []im.Epoch

	// mu is held while commits are applied: two nodes may have something for
	// one slot.
	mu     sync.Mutex
	copies [im.Slots]replica
	stats  FollowerStats

	connsMu   sync.Mutex
	conns     map[net.Conn]struct{}
	listeners map[net.Listener]struct{}
	tasks     sync.WaitGroup
}

// replica is the copy of a slot.
type replica struct {
	position
	// epoch is the highest under which a node has asked.
	epoch uint64
	// ends are the last entries of logs, as far as they are known, while the
	// copy is not whole; by is the connection that makes it.
	ends map[im.Addr]im.Seq
	by   *turn
	// doubtful: what the store has of it is not known, and may still change under
	// the epoch there is.
	doubtful bool
}

// settle forgets what is needed only until the copy is whole.
func (r *replica) settle() {
	if r.whole() {
		r.until, r.ends = 0, nil
	}
}

// NewFollower opens a store as the copy of a region.
func NewFollower(ctx context.Context, cfg FollowerConfig) (*Follower, error) {
	slots := store.AllSlots()
	if err := mayFollow(ctx, cfg); err != nil {
		return nil, err
	}
	epochs, err := cfg.Engine.Acquire(ctx, owner, slots)
	if err != nil {
		return nil, im.Errorf(im.Unavailable, "the copy's slots cannot be acquired: %w", err)
	}
	f := newFollower(cfg, epochs)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(positionReads)
	for i, slot := range slots {
		group.Go(func() (err error) {
			f.copies[i].position, err = readPosition(gctx, cfg.Engine, slot)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return f, f.mark(ctx)
}

// newFollower has acquired its slots, and does not know yet how far they are.
func newFollower(cfg FollowerConfig, epochs []im.Epoch) *Follower {
	f := &Follower{cfg: cfg, epochs: epochs, conns: map[net.Conn]struct{}{}, listeners: map[net.Listener]struct{}{}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// mayFollow refuses a store that is not a copy of this region, but something
// else.
func mayFollow(ctx context.Context, cfg FollowerConfig) error {
	region, err := CopyOf(ctx, cfg.Engine)
	switch {
	case err != nil:
		return err
	case region == cfg.Region:
		return nil
	case region != "":
		return im.Errorf(im.Invalid, "the store is the copy of region %q, not of %q", region, cfg.Region)
	}
	return cfg.Engine.List(ctx, store.AllSlots(), func(_ im.Slot, held []im.Addr) error {
		if len(held) > 0 {
			return im.Errorf(im.Invalid, "the store holds data and is no copy; a standby begins with an empty one")
		}
		return nil
	})
}

// mark says in the store that it is a copy.
func (f *Follower) mark(ctx context.Context) error {
	return f.cfg.Engine.Commit(ctx, &store.Batch{Changes: []store.Change{{
		Addr: positions()[0], Epoch: f.epochs[0],
		Put: []store.Record{{Key: keyCopyOf, Value: []byte(f.cfg.Region)}},
	}}})
}

// Promote makes a copy a store of its own, and says which slots are not whole.
// With those it does so only if broken is true. The store begins a new generation,
// by which devices are told what it may lack.
func Promote(ctx context.Context, engine Engine, now time.Time, broken bool) (notWhole []im.Slot, err error) {
	region, err := CopyOf(ctx, engine)
	if err != nil {
		return nil, err
	}
	if region == "" {
		return nil, im.Errorf(im.Invalid, "the store is no copy: it was promoted already, or another one is meant")
	}
	if notWhole, err = unfinished(ctx, engine); err != nil || len(notWhole) > 0 && !broken {
		return notWhole, err
	}
	// A standby that nobody has stopped writes no more from here on. What it did
	// meanwhile is looked at again.
	epochs, err := engine.Acquire(ctx, owner, store.AllSlots())
	if err != nil {
		return nil, err
	}
	if notWhole, err = unfinished(ctx, engine); err != nil || len(notWhole) > 0 && !broken {
		return notWhole, err
	}
	return notWhole, engine.Commit(ctx, &store.Batch{Changes: []store.Change{{
		Addr: positions()[0], Epoch: epochs[0], Delete: []string{keyCopyOf},
		Put: []store.Record{{Key: keyGeneration, Value: binary.AppendUvarint(nil, uint64(now.UnixMilli()))}},
	}}})
}

// unfinished are the slots of a copy that are not whole.
func unfinished(ctx context.Context, engine Engine) (slots []im.Slot, err error) {
	for slot := range im.Slot(im.Slots) {
		p, err := readPosition(ctx, engine, slot)
		if err != nil {
			return nil, err
		}
		if !p.whole() {
			slots = append(slots, slot)
		}
	}
	return slots, nil
}

// Serve takes connections of Sources until Close.
func (f *Follower) Serve(ln net.Listener) error {
	if !f.listening(ln) {
		return ln.Close()
	}
	return accept.Loop(ln, f.ctx.Done(), f.cfg.Logger, func(nc net.Conn) {
		if !f.start(nc) {
			nc.Close()
		}
	})
}

func (f *Follower) listening(ln net.Listener) bool {
	f.connsMu.Lock()
	defer f.connsMu.Unlock()
	f.listeners[ln] = struct{}{}
	return f.ctx.Err() == nil
}

func (f *Follower) start(nc net.Conn) bool {
	f.connsMu.Lock()
	defer f.connsMu.Unlock()
	if f.ctx.Err() != nil || len(f.conns) >= maxSources {
		return false
	}
	f.conns[nc] = struct{}{}
	f.tasks.Go(func() {
		err := f.session(nc)
		nc.Close()
		f.connsMu.Lock()
		delete(f.conns, nc)
		f.connsMu.Unlock()
		if f.ctx.Err() == nil {
			f.cfg.Logger.Warn("a node's connection has ended", "from", nc.RemoteAddr().String(), "err", err)
		}
	})
	return true
}

// Close ends all connections. The store stays open.
func (f *Follower) Close() {
	f.connsMu.Lock()
	f.cancel()
	for nc := range f.conns {
		nc.Close()
	}
	for ln := range f.listeners {
		ln.Close()
	}
	f.connsMu.Unlock()
	f.tasks.Wait()
}

// session serves one connection.
func (f *Follower) session(nc net.Conn) error {
	c := newConn(nc)
	if err := f.greet(c); err != nil {
		return err
	}
	t := &turn{f: f, conn: c, touched: map[im.Slot]struct{}{}, held: map[im.Slot][]im.Addr{}}
	for {
		if err := t.run(); err != nil {
			return err
		}
	}
}

func (f *Follower) greet(c *conn) error {
	_, m, err := c.receive(helloFrame)
	if err != nil {
		return err
	}
	hello, ok := m.(*storev1.StandbyHello)
	if !ok {
		return im.Errorf(im.Invalid, "the node did not greet")
	}
	answer := &storev1.StandbyHello{Region: f.cfg.Region}
	if hello.GetRegion() != f.cfg.Region {
		answer.Refusal = "it keeps the copy of another region"
	}
	if err := c.send(frameHello, answer); err != nil {
		return err
	}
	if answer.Refusal != "" {
		return im.Errorf(im.PermissionDenied, "the node is of region %q", hello.GetRegion())
	}
	f.cfg.Logger.Info("a node is connected", "node", hello.GetNode(), "from", c.nc.RemoteAddr().String())
	return nil
}

package bench

import (
	"fmt"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store"
)

// recorder runs users' mailboxes without a store, on a clock of its own, and
// keeps the batches they would have committed: the changes of a chat, as real
// as the mailboxes that make them, for a store to take at its own speed.
type recorder struct {
	cfg    *StoreConfig
	data   *Dataset
	run    uint64
	shards []*recordedShard
	now    im.Millis
	// due is when devices acknowledge next, elapsed the clock's fraction of
	// a millisecond.
	due     im.Millis
	elapsed float64
	err     error
	users   []*recordedUser
	sent    uint64
	entries uint64
	records uint64
	bytes   uint64
}

// recordedShard is one shard: its core, what is queued for it, and what it
// would have committed.
type recordedShard struct {
	rec     *recorder
	core    *shard.Core
	users   []*recordedUser
	queue   []shard.Input
	loads   []load
	batches []*store.Batch
	// turn is the place of the user who sends next.
	turn int
}

type load struct {
	addr   im.Addr
	ticket uint64
}

// recordedUser is a user, whose only device sends and acknowledges.
type recordedUser struct {
	id        int
	plan      *schedule
	clientSeq im.ClientSeq
	head      im.Seq
	acked     im.Seq
}

const (
	// chatSpeed is how many messages a second the recorder's clock
	// assumes. It decides how often cursors and acks are written.
	chatSpeed = 20_000
	// ackEvery is how often devices acknowledge what came.
	ackEvery im.Millis = 1000
)

func newRecorder(cfg *StoreConfig, data *Dataset, run uint64, epochs []im.Epoch) *recorder {
	r := &recorder{cfg: cfg, data: data, run: run, now: 1_700_000_000_000}
	r.due = r.now + ackEvery
	for range cfg.Shards {
		s := &recordedShard{rec: r}
		core := shard.DefaultConfig()
		core.Jitter = newRand(cfg.Seed, 3).Int64N
		core.MaxHot = data.Users + 1
		s.core = shard.NewCore(core, s)
		r.shards = append(r.shards, s)
	}
	for slot, epoch := range epochs {
		r.shards[slot%cfg.Shards].core.Own(im.Slot(slot), epoch)
	}
	for i := range data.Users {
		u := &recordedUser{id: i + 1, plan: newSchedule(len(data.Friends[i]), 1, true, newRand(cfg.Seed, uint64(i+1)<<8))}
		s := r.of(im.User(im.UserID(u.id)))
		s.users = append(s.users, u)
		r.users = append(r.users, u)
	}
	return r
}

func (r *recorder) of(a im.Addr) *recordedShard { return r.shards[int(a.Slot())%len(r.shards)] }

// Complete implements im.Completion: nothing that is recorded may fail.
func (r *recorder) Complete(cmd im.Command, _ im.Result, err error) {
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("recording %T: %w", cmd, err)
	}
}

// provision records the users' making.
func (r *recorder) provision() error {
	for _, s := range r.shards {
		for _, u := range s.users {
			cmd := &im.Provision{TokenHashes: make([][32]byte, 1)}
			for _, f := range r.data.Friends[u.id-1] {
				cmd.Friends = append(cmd.Friends, im.UserID(f))
			}
			s.queue = append(s.queue, shard.Input{To: im.User(im.UserID(u.id)), Cmd: cmd, Done: r})
		}
		s.round(0)
	}
	return r.err
}

// chat records messages, and goes on until nothing is on its way.
func (r *recorder) chat(messages int) error {
	for left := messages; r.err == nil; {
		idle := left == 0
		for _, s := range r.shards {
			n := min(left, r.cfg.Batch)
			if len(s.users) == 0 {
				n = 0
			}
			left -= n
			idle = idle && len(s.queue) == 0
			s.round(n)
		}
		if idle {
			return r.err
		}
		r.advance(float64(r.cfg.Batch*len(r.shards)) * 1000 / chatSpeed)
	}
	return r.err
}

// advance moves the clock, and lets devices acknowledge when it is time.
func (r *recorder) advance(ms float64) {
	r.elapsed += ms
	r.now += im.Millis(r.elapsed)
	r.elapsed -= float64(int64(r.elapsed))
	if r.now < r.due {
		return
	}
	r.due = r.now + ackEvery
	for _, s := range r.shards {
		for _, u := range s.users {
			if u.head > u.acked {
				u.acked = u.head
				s.queue = append(s.queue, shard.Input{
					To: im.User(im.UserID(u.id)), Cmd: &im.AckDelivered{Device: 1, Seq: u.head}, Done: r,
				})
			}
		}
	}
}

// round makes one batch: what is queued, and n messages.
func (s *recordedShard) round(n int) {
	queue := s.queue
	s.queue = nil
	for _, in := range queue {
		s.handle(in)
	}
	for range n {
		s.handle(s.next())
	}
	s.core.Tick(s.rec.now)
	b := s.core.Cut()
	if b == nil {
		return
	}
	if len(b.Changes.Changes) > 0 {
		s.keep(&b.Changes)
	}
	s.core.Done(s.rec.now, b, nil)
}

// handle hands an input to the core, and what it asks to load back at once:
// every entity is new.
func (s *recordedShard) handle(in shard.Input) {
	s.core.Handle(s.rec.now, in)
	for len(s.loads) > 0 {
		l := s.loads[0]
		s.loads = s.loads[1:]
		ent, err := shard.LoadEntity(func(tail func([]im.Record) im.Seq) (store.Entity, error) {
			tail(nil)
			return store.Entity{}, nil
		}, l.addr)
		s.core.Loaded(s.rec.now, l.addr, l.ticket, ent, err)
	}
}

// next is the next message of the users in turn.
func (s *recordedShard) next() shard.Input {
	u := s.users[s.turn%len(s.users)]
	s.turn++
	friend, ordinal, _ := u.plan.next()
	to := s.rec.data.Friends[u.id-1][friend]
	body := make([]byte, s.rec.cfg.Body)
	st := stamp{Run: s.rec.run, From: uint32(u.id), To: uint32(to), Ordinal: ordinal}
	st.encode(body)
	u.clientSeq++
	s.rec.sent++
	return shard.Input{To: im.User(im.UserID(u.id)), Done: s.rec, Cmd: &im.Send{
		To: im.UserID(to), Device: 1, ClientSeq: u.clientSeq, Content: im.Content{Type: im.ContentCustom, Body: body},
	}}
}

// keep adds a batch to the record.
func (s *recordedShard) keep(b *store.Batch) {
	r := s.rec
	for i := range b.Changes {
		c := &b.Changes[i]
		r.entries += uint64(len(c.Append))
		r.records += uint64(len(c.Put) + len(c.Delete))
		for _, v := range c.Append {
			r.bytes += uint64(len(v))
		}
		if n := len(c.Append); n > 0 {
			r.users[c.Addr.ID-1].head = c.First + im.Seq(n) - 1
		}
		for _, p := range c.Put {
			r.bytes += uint64(len(p.Value))
		}
	}
	s.batches = append(s.batches, b)
}

// Forward implements shard.Host.
func (s *recordedShard) Forward(m *entity.Message) {
	to := s.rec.of(m.To)
	to.queue = append(to.queue, shard.Input{To: m.To, Msg: m})
}

// Load implements shard.Host.
func (s *recordedShard) Load(a im.Addr, ticket uint64) { s.loads = append(s.loads, load{a, ticket}) }

// ReadTimeline implements shard.Host. There are no sessions to read for.
func (s *recordedShard) ReadTimeline(im.Addr, im.SessionID, im.Seq, int, int) {}

// ReadEntries implements shard.Host. Nothing is lost here, so nothing is sent
// again.
func (s *recordedShard) ReadEntries(im.Addr, im.Addr, []im.Seq) {
	s.rec.err = fmt.Errorf("recording: a message was to be sent again")
}

package regions

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/wire"
)

// watch looks at the homes and the messages among what becomes durable.
func (s *site) watch(b *store.Batch) {
	for i := range b.Changes {
		c := &b.Changes[i]
		if c.Epoch != s.store.Epoch(c.Addr.Slot()) {
			continue
		}
		switch c.Addr.Kind {
		case im.KindHome:
			for _, r := range c.Put {
				s.watchHome(im.UserID(c.Addr.ID), r.Value)
			}
		case im.KindUser:
			for _, value := range c.Append {
				s.watchEntry(im.UserID(c.Addr.ID), value)
			}
		}
	}
}

// watchEntry counts the messages that users have, wherever.
func (s *site) watchEntry(user im.UserID, value []byte) {
	e := visible(s.w, im.LogEntry{Value: value})
	if e.Kind != wire.EntryMessage || e.Outgoing {
		return
	}
	link := [2]im.UserID{e.Peer, user}
	if s.w.taken[link] == nil {
		s.w.taken[link] = map[string]bool{}
	}
	s.w.taken[link][string(e.Content.Body)] = true
}

func visible(w *world, le im.LogEntry) (e wire.Entry) {
	shown, err := entity.Visible(le)
	if err == nil {
		err = e.Unmarshal(shown)
	}
	if err != nil {
		w.failf("%v", err)
	}
	return e
}

// checkAck: what is acknowledged to a user is in the log of who has it. Nothing on the
// way may be the only one to have it.
func (w *world) checkAck(m *entity.Message) {
	if m.From.Kind != im.KindUser || m.To.Kind != im.KindUser {
		return
	}
	link := [2]im.UserID{im.UserID(m.To.ID), im.UserID(m.From.ID)}
	if n := im.LinkSeq(len(w.taken[link])); m.Ack > n {
		w.failf("message %d of user %d to user %d is acknowledged; %d are taken", m.Ack, link[0], link[1], n)
	}
}

func (s *site) watchHome(user im.UserID, value []byte) {
	home := homeOf(s.w, value)
	if before := s.home(user); before.Version > home.Version {
		s.w.failf("%s: the home of user %d goes back from %v to %v", s.name, user, before, home)
	}
	versions := s.w.homes[user]
	if versions == nil {
		versions = map[uint64]im.Region{}
		s.w.homes[user] = versions
	}
	if named, ok := versions[home.Version]; ok && named != home.Region {
		s.w.failf("version %d of the home of user %d is %s and %s", home.Version, user, named, home.Region)
	}
	versions[home.Version] = home.Region
	s.w.logf("%s: user %d lives in %s, version %d", s.name, user, home.Region, home.Version)
}

func homeOf(w *world, value []byte) im.Home {
	var m storev1.Home
	if err := proto.Unmarshal(value, &m); err != nil {
		w.failf("%v", err)
	}
	return im.Home{Region: im.Region(m.Region), Version: m.Version}
}

// home is what the region's store says of where a user lives.
func (s *site) home(user im.UserID) im.Home {
	e, err := s.store.Load(context.Background(), im.HomeAddr(user), func([]im.Record) im.Seq { return 0 })
	if err != nil {
		s.w.failf("%v", err)
	}
	if len(e.Records) == 0 {
		return im.Home{}
	}
	return homeOf(s.w, e.Records[0].Value)
}

// check looks at everything in the end.
func (w *world) check() {
	var money im.Cents
	for _, p := range w.people {
		if len(p.waiting) > 0 {
			w.failf("user %d waits for the answer to %s", p.id, p.waiting[0].Content.Body)
		}
		money += p.check()
	}
	for _, s := range w.sites {
		for _, h := range s.hosts {
			if n := h.proc.region.Stats().Moves; n > 0 {
				w.failf("%d users still leave %s", n, h.name())
			}
			if up := h.proc.uplink; up != nil && up.Stats().Relays != len(s.relays)*(len(w.sites)-1) {
				w.failf("%s does not know that its relays are there: %+v", h.name(), up.Status())
			}
		}
	}
	if money != w.money {
		w.failf("%d cents came in, and %d are in wallets", w.money, money)
	}
	for _, from := range w.people {
		for _, to := range w.people {
			w.checkTalk(from, to)
		}
	}
}

// lives is the region in which the user lives.
func (p *person) lives() *site {
	home := p.w.sites[0].home(p.id)
	if home.Version == 0 {
		p.w.failf("the directory does not know user %d", p.id)
	}
	var here *site
	for _, s := range p.w.sites {
		ent, err := shardLoad(s, im.User(p.id))
		if err != nil {
			p.w.failf("%v", err)
		}
		if _, err := ent.Handle(&entity.Tx{Self: im.User(p.id)}, &im.ListDevices{}); err != nil {
			continue
		}
		if here != nil {
			p.w.failf("user %d lives in %s and %s", p.id, here.name, s.name)
		}
		here = s
	}
	if here == nil || here.name != home.Region {
		p.w.failf("the directory says that user %d lives in %s", p.id, home.Region)
	}
	return here
}

// entries are the user's timeline.
func (p *person) entries() []wire.Entry {
	log, err := p.lives().store.ReadLog(context.Background(), im.User(p.id), 1, 1<<20, 1<<30)
	if err != nil {
		p.w.failf("%v", err)
	}
	var list []wire.Entry
	for i, le := range log {
		if le.Seq != im.Seq(i+1) {
			p.w.failf("the log of user %d has entry %d at %d", p.id, le.Seq, i+1)
		}
		list = append(list, visible(p.w, le))
	}
	return list
}

// check looks at a user's own sends, and returns what is in the wallet.
func (p *person) check() (money im.Cents) {
	at := map[string]im.Seq{}
	for _, e := range p.entries() {
		if e.Kind == wire.EntryMoney {
			money = e.Money.Balance
		}
		if e.Kind != wire.EntryMessage || !e.Outgoing {
			continue
		}
		body := string(e.Content.Body)
		if at[body] != 0 {
			p.w.failf("user %d has sent %s twice, as %d and %d", p.id, body, at[body], e.Seq)
		}
		at[body] = e.Seq
	}
	for body, seq := range p.answers {
		if at[body] != seq {
			p.w.failf("user %d was told that %s is entry %d; it is %d", p.id, body, seq, at[body])
		}
	}
	return money
}

// checkTalk looks at what one user has sent to another.
func (w *world) checkTalk(from, to *person) {
	var got []string
	for _, e := range to.entries() {
		if e.Kind == wire.EntryMessage && !e.Outgoing && e.Peer == from.id {
			got = append(got, string(e.Content.Body))
		}
	}
	if !slices.Equal(got, from.said[to.id]) {
		w.failf("user %d sent %d %v, who got %v", from.id, to.id, from.said[to.id], got)
	}
}

// shardLoad reads an entity as a process would.
func shardLoad(s *site, a im.Addr) (entity.Entity, error) {
	return shard.LoadEntity(func(tail func([]im.Record) im.Seq) (store.Entity, error) {
		return s.store.Load(context.Background(), a, tail)
	}, a)
}

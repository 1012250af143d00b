package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Source is the part of a store that an audit reads.
type Source interface {
	store.Lister
	Load(ctx context.Context, a im.Addr, tail func([]store.Record) im.Seq) (store.Entity, error)
	ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]store.Entry, error)
}

// Report is the outcome of an audit.
type Report struct {
	// In is what came from outside, Out what went there.
	In, Out im.Cents
	// Wallets, Envelopes, Campaigns and Payments are what these hold, InFlight
	// what is on its way between them.
	Wallets, Envelopes, Campaigns, Payments, InFlight im.Cents
	// Entities is how many were read, Entries how many log entries.
	Entities, Entries int
	// Problems are what does not add up, at most MaxProblems of Found.
	Problems []Problem
	Found    int
}

// MaxProblems bounds Report.Problems.
const MaxProblems = 1000

// Problem is something that does not add up. Entity is zero when it cannot be
// said where.
type Problem struct {
	Entity im.Addr
	Detail string
}

func (p Problem) String() string {
	if p.Entity == (im.Addr{}) {
		return p.Detail
	}
	return p.Entity.String() + ": " + p.Detail
}

// Held is all the money in the system.
func (r *Report) Held() im.Cents {
	return r.Wallets + r.Envelopes + r.Campaigns + r.Payments + r.InFlight
}

// OK reports whether everything adds up.
func (r *Report) OK() bool { return r.Found == 0 }

func (r *Report) problem(a im.Addr, format string, args ...any) {
	if r.Found++; len(r.Problems) < MaxProblems {
		r.Problems = append(r.Problems, Problem{a, fmt.Sprintf(format, args...)})
	}
}

// Run audits everything in a store that is at rest. The error says that it
// could not be read; what does not add up is in the report.
func Run(ctx context.Context, src Source) (*Report, error) {
	a := auditor{ctx: ctx, src: src, report: &Report{}, links: map[way]*traffic{}, openings: map[im.Addr]*opening{}}
	err := src.List(ctx, store.AllSlots(), func(_ im.Slot, held []im.Addr) error {
		for _, addr := range held {
			if err := a.visit(addr); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, im.Errorf(im.Unavailable, "cannot read the store: %w", err)
	}
	a.settle()
	return a.report, nil
}

type auditor struct {
	ctx    context.Context
	src    Source
	report *Report
	links  map[way]*traffic
	// openings are those of wallets whose logs have lost their beginning.
	openings map[im.Addr]*opening
}

// way is one direction of a link.
type way struct{ from, to im.Addr }

// traffic is the money that went one way, message by message.
type traffic struct {
	sent, taken []im.Cents
	// before are the messages that the log of a wallet, which is one end, no
	// longer has; known: they are counted.
	before im.LinkSeq
	known  bool
	// acked is what the sender believes to be taken.
	acked im.LinkSeq
	// ends counts the ends that were read.
	ends int
}

// book is an entity's account, as its log tells it.
type book struct {
	addr      im.Addr
	held      im.Cents
	statement im.Seq
	// opening is nil as long as the log has its beginning.
	opening *opening
	// ways are those that it has taken part in.
	ways map[way]bool
}

// visit adds up one entity.
func (a *auditor) visit(addr im.Addr) error {
	total := a.totalOf(addr.Kind)
	if total == nil {
		return nil
	}
	ent, err := a.load(addr)
	if err != nil {
		return err
	}
	if entity.Absent(ent) {
		// The user lives in another region, with all the money.
		return nil
	}
	believed := entity.Holding(ent)
	b := &book{addr: addr, ways: map[way]bool{}}
	if err := a.read(b, ent); err != nil {
		return err
	}
	a.bounds(b, ent, believed)
	for _, l := range entity.MoneyLinks(ent) {
		if l.Stopped {
			a.report.problem(addr, "its link with %v has stopped: since a store has lost its end, they remember different things", l.Peer)
		}
	}
	a.report.Entities++
	*total += believed
	if believed != b.held {
		a.report.problem(addr, "has %d cents, but its log adds up to %d", believed, b.held)
	}
	for w := range b.ways {
		if a.links[w].ends++; a.links[w].ends == 2 {
			a.close(w)
		}
	}
	return nil
}

// totalOf is where the money of a kind of entity counts; nil: it has none.
func (a *auditor) totalOf(k im.Kind) *im.Cents {
	switch k {
	case im.KindUser:
		return &a.report.Wallets
	case im.KindEnvelope:
		return &a.report.Envelopes
	case im.KindCampaign:
		return &a.report.Campaigns
	case im.KindPayment:
		return &a.report.Payments
	}
	return nil
}

// load makes the entity as it believes itself to be. One that cannot be loaded
// is empty, and a problem.
func (a *auditor) load(addr im.Addr) (entity.Entity, error) {
	ent, err := entity.New(addr)
	if err != nil {
		return nil, err
	}
	var damage error
	data, err := a.src.Load(a.ctx, addr, func(recs []im.Record) im.Seq {
		seq, err := ent.Restore(recs)
		damage = err
		return seq
	})
	if err != nil {
		return nil, im.Errorf(im.Unavailable, "cannot read %v: %w", addr, err)
	}
	for _, e := range data.Tail {
		if damage == nil {
			damage = ent.Replay(e)
		}
	}
	if damage != nil {
		a.report.problem(addr, "cannot be loaded: %v", damage)
		return entity.New(addr)
	}
	return ent, nil
}

// Reads of logs are this large.
const (
	readEntries = 1024
	readBytes   = 1 << 20
)

// read adds up a log.
func (a *auditor) read(b *book, ent entity.Entity) error {
	for next := im.Seq(1); ; {
		entries, err := a.src.ReadLog(a.ctx, b.addr, next, readEntries, readBytes)
		if err != nil {
			return im.Errorf(im.Unavailable, "cannot read the log of %v: %w", b.addr, err)
		}
		if next == 1 {
			a.begin(b, entries, ent.Status())
		}
		if len(entries) == 0 {
			return nil
		}
		for _, e := range entries {
			a.report.Entries++
			m, err := entity.MovementIn(b.addr, e)
			if err != nil {
				a.report.problem(b.addr, "entry %d cannot be read: %v", e.Seq, err)
				continue
			}
			a.enter(b, e.Seq, &m)
		}
		next = entries[len(entries)-1].Seq + 1
	}
}

// enter books one entry.
func (a *auditor) enter(b *book, seq im.Seq, m *entity.Movement) {
	b.open(m)
	b.held += m.Net()
	a.report.In += m.CameIn
	a.report.Out += m.WentOut
	if b.held < 0 {
		a.report.problem(b.addr, "has %d cents after entry %d", b.held, seq)
	}
	if w := m.Wallet; w != nil {
		if w.Cents != m.Net() || w.Balance != b.held || w.Prev != b.statement {
			a.report.problem(b.addr, "entry %d says %d cents, %d after entry %d; the log has %d, %d after entry %d",
				seq, w.Cents, w.Balance, w.Prev, m.Net(), b.held, b.statement)
		}
		b.statement = seq
	}
	if m.In != 0 {
		t := a.traffic(b, way{m.From, b.addr})
		if last := t.last(b, t.taken, m.In); m.In != last+1 {
			a.report.problem(b.addr, "entry %d takes message %d of %v after %d", seq, m.In, m.From, last)
		}
		t.taken = append(t.taken, m.Taken)
	}
	for _, s := range m.Sent {
		t := a.traffic(b, way{b.addr, s.To})
		if last := t.last(b, t.sent, s.Seq); s.Seq != last+1 {
			a.report.problem(b.addr, "entry %d sends message %d to %v after %d", seq, s.Seq, s.To, last)
		}
		t.sent = append(t.sent, s.Cents)
	}
}

func (a *auditor) traffic(b *book, w way) *traffic {
	t := a.links[w]
	if t == nil {
		t = &traffic{}
		a.links[w] = t
	}
	b.ways[w] = true
	return t
}

// close compares the ends of one way of a link, which have both been read or
// are not there.
func (a *auditor) close(w way) {
	t := a.links[w]
	delete(a.links, w)
	before := a.explain(w, t)
	if taken := before + len(t.taken); int(t.acked) > taken {
		a.report.problem(w.from, "believes that %v has taken %d messages, which has taken %d", w.to, t.acked, taken)
	}
	if len(t.taken) > len(t.sent) {
		a.report.problem(w.to, "has taken %d messages of %v, which has sent %d", before+len(t.taken), w.from, before+len(t.sent))
	}
	for i, c := range t.sent {
		switch {
		case i >= len(t.taken):
			a.report.InFlight += c
		case c != t.taken[i]:
			a.report.problem(w.to, "has taken %d cents with message %d of %v, which has sent %d", t.taken[i], before+i+1, w.from, c)
		}
	}
}

// settle ends the audit: what is left are links of which one end has never
// heard, and the totals.
func (a *auditor) settle() {
	ways := make([]way, 0, len(a.links))
	for w := range a.links {
		ways = append(ways, w)
	}
	slices.SortFunc(ways, func(x, y way) int {
		return cmp.Or(x.from.Compare(y.from), x.to.Compare(y.to))
	})
	for _, w := range ways {
		a.close(w)
	}
	a.checkOpenings()
	r := a.report
	if r.In != r.Held()+r.Out {
		r.problem(im.Addr{}, "%d cents came in, but %d are held and %d went out", r.In, r.Held(), r.Out)
	}
}

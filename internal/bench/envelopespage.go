package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/skein-im/skein/internal/bench/swarm"
	"github.com/skein-im/skein/internal/report"
)

// Page is the result as a report with charts.
func (r *EnvelopesResult) Page() *report.Page {
	p := &report.Page{
		Title:   fmt.Sprintf("Red envelopes: %s connections", count(r.Conns)),
		Verdict: "Nothing was lost, and the books of devices and server agree to the cent.", Problems: r.Problems,
		Footer: r.Environment.String(),
	}
	if !r.Good {
		p.Verdict, p.Bad = "NOT GOOD", true
	}
	p.Tables = []report.Table{r.booksTable(), r.shakesTable(), r.sentTable()}
	p.Tables = slices.DeleteFunc(p.Tables, func(t report.Table) bool { return len(t.Head) == 1 })
	for i, round := range r.Rounds {
		if s := round.Shakes; s != nil {
			p.Sections = append(p.Sections, s.section(fmt.Sprintf("Round %d: %s shakes/s", i+1, whole(s.OfferedQPS))))
		}
		if e := round.Envelopes; e != nil {
			p.Sections = append(p.Sections, e.section(fmt.Sprintf("Round %d: %s envelopes/s to three friends each", i+1, whole(e.OfferedQPS))))
		}
	}
	return p
}

// count writes a number with groups of thousands.
func count[T int | int64 | uint64](n T) string { return report.Number(float64(n)) }

func (r *EnvelopesResult) booksTable() report.Table {
	return report.Table{Head: []string{"books", "devices", "server"}, Rows: [][]string{
		{"envelopes won", count(r.Won), count(r.Issued)},
		{"shares opened", count(r.Opened), count(r.ServerOpened)},
		{"cents won and opened", count(r.ClientCents), count(r.ServerCents)},
		{"audit of the store", "", r.Audit},
	}}
}

// whole and tenths write figures that are no counts.
func whole(v float64) string  { return report.Number(math.Round(v)) }
func tenths(v float64) string { return report.Number(math.Round(10*v) / 10) }

// row is a figure of each round.
type row[T any] struct {
	name string
	of   func(T) string
}

// trafficRows are what all loads have in common.
func trafficRows[T any](of func(T) *Traffic, what string) []row[T] {
	figure := func(name string, f func(*Traffic) string) row[T] {
		return row[T]{name, func(v T) string { return f(of(v)) }}
	}
	return []row[T]{
		figure("due", func(t *Traffic) string { return count(t.Due) }),
		figure(what, func(t *Traffic) string { return count(t.Answered) }),
		figure("lost", func(t *Traffic) string { return count(t.Lost) }),
		figure("server too busy", func(t *Traffic) string { return count(t.Busy) }),
		figure("held back then", func(t *Traffic) string { return count(t.Held) }),
		figure("offered per second", func(t *Traffic) string { return whole(t.OfferedQPS) }),
		figure(what+" per second", func(t *Traffic) string { return whole(t.AnsweredQPS) }),
		figure(what+" after, p50, ms", func(t *Traffic) string { return tenths(t.LatencyMS.P50) }),
		figure("p99", func(t *Traffic) string { return tenths(t.LatencyMS.P99) }),
		figure("p99.9", func(t *Traffic) string { return tenths(t.LatencyMS.P999) }),
		figure("longest", func(t *Traffic) string { return tenths(t.LatencyMS.Max) }),
		figure("generator late, p99, ms", func(t *Traffic) string { return tenths(t.LatenessMS.P99) }),
		figure("server's CPU for one, us", func(t *Traffic) string { return tenths(t.ServerCPU) }),
		figure("generator's", func(t *Traffic) string { return tenths(t.ClientCPU) }),
	}
}

// table has a column for each round.
func table[T any](name string, rounds []T, rows []row[T]) report.Table {
	t := report.Table{Head: []string{name}}
	for i := range rounds {
		t.Head = append(t.Head, fmt.Sprintf("round %d", i+1))
	}
	for _, r := range rows {
		cells := []string{r.name}
		for _, v := range rounds {
			cells = append(cells, r.of(v))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

func (r *EnvelopesResult) shakesTable() report.Table {
	var rounds []*Shakes
	for _, round := range r.Rounds {
		if round.Shakes != nil {
			rounds = append(rounds, round.Shakes)
		}
	}
	window := func(f func(*Windows) string) func(*Shakes) string {
		return func(s *Shakes) string {
			if s.Windows == nil {
				return ""
			}
			return f(s.Windows)
		}
	}
	return table("shakes", rounds, append(trafficRows(func(s *Shakes) *Traffic { return &s.Traffic }, "answered"),
		row[*Shakes]{"envelopes issued", func(s *Shakes) string { return count(s.Issued) }},
		row[*Shakes]{"won", func(s *Shakes) string { return count(s.Won) }},
		row[*Shakes]{"won after, p50, ms", func(s *Shakes) string { return tenths(s.WinMS.P50) }},
		row[*Shakes]{"p99", func(s *Shakes) string { return tenths(s.WinMS.P99) }},
		row[*Shakes]{"won per second, in 10 s at least", window(func(w *Windows) string { return tenths(w.Min) })},
		row[*Shakes]{"at most", window(func(w *Windows) string { return tenths(w.Max) })},
		row[*Shakes]{"10 s within 5% of the rate", window(func(w *Windows) string { return whole(100*w.Within) + "%" })},
	))
}

func (r *EnvelopesResult) sentTable() report.Table {
	var rounds []*SentEnvelopes
	for _, round := range r.Rounds {
		if round.Envelopes != nil {
			rounds = append(rounds, round.Envelopes)
		}
	}
	return table("envelopes", rounds, append(trafficRows(func(e *SentEnvelopes) *Traffic { return &e.Traffic }, "sent"),
		row[*SentEnvelopes]{"shares opened", func(e *SentEnvelopes) string { return count(e.Opened) }},
		row[*SentEnvelopes]{"opened after, p50, ms", func(e *SentEnvelopes) string { return tenths(e.OpenMS.P50) }},
		row[*SentEnvelopes]{"p99", func(e *SentEnvelopes) string { return tenths(e.OpenMS.P99) }},
	))
}

// line is a chart's line of what happened in each second.
func (t *Traffic) line(name string, of func(*PerSecond) uint32) report.Line {
	l := report.Line{Name: name}
	for i := range t.shown() {
		l.Values = append(l.Values, float64(of(&t.PerSecond[i])))
	}
	return l
}

// shown is how many seconds a chart has: those of the load, and what was late
// after it. The few that are answered right after its end would look as if it
// had broken down.
func (t *Traffic) shown() int {
	n, few := len(t.PerSecond), t.OfferedQPS/10
	for ; n > int(t.Seconds) && n > 0; n-- {
		if s := t.PerSecond[n-1]; float64(max(s.Sent, s.Answered, s.Opened/swarm.Friends)) > few {
			break
		}
	}
	return n
}

func (s *Shakes) section(title string) report.Section {
	return report.Section{Title: title, Charts: []report.Chart{
		{Title: "Shakes", Unit: "shakes/s", Lines: []report.Line{
			s.line("client QPS: sent", func(s *PerSecond) uint32 { return s.Sent }),
			s.line("server QPS: answered", func(s *PerSecond) uint32 { return s.Answered }),
		}},
		{Title: "Envelopes of the campaign", Unit: "envelopes/s", Lines: []report.Line{
			s.line("issued", func(s *PerSecond) uint32 { return s.Issued }),
			s.line("won", func(s *PerSecond) uint32 { return s.Won }),
		}},
	}}
}

func (e *SentEnvelopes) section(title string) report.Section {
	return report.Section{Title: title, Charts: []report.Chart{
		{Title: "Envelopes", Unit: "envelopes/s", Lines: []report.Line{
			e.line("sent by clients", func(s *PerSecond) uint32 { return s.Sent }),
			e.line("accepted by the server", func(s *PerSecond) uint32 { return s.Answered }),
		}},
		{Title: "Shares", Unit: "shares/s", Lines: []report.Line{
			e.line("opened", func(s *PerSecond) uint32 { return s.Opened }),
		}},
	}}
}

// String is the environment in a line.
func (e *Environment) String() string {
	parts := []string{"skein " + e.Version}
	if e.Revision != "" {
		parts = append(parts, "revision "+e.Revision)
	}
	parts = append(parts, e.Go, e.System, fmt.Sprintf("%d x %s", e.CPUs, e.CPU))
	if e.Kernel != "" {
		parts = append(parts, "kernel "+e.Kernel)
	}
	return strings.Join(parts, ", ")
}

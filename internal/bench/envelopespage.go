package bench

import (
	"fmt"
	"strings"

	"github.com/skein-im/skein/internal/bench/report"
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
	p.Tables = []report.Table{r.booksTable()}
	for i, round := range r.Rounds {
		if s := round.Shakes; s != nil {
			p.Tables = append(p.Tables, s.table(fmt.Sprintf("round %d, shakes", i+1)))
			p.Sections = append(p.Sections, s.section(fmt.Sprintf("Round %d: %s shakes/s", i+1, count(int(s.OfferedQPS)))))
		}
		if e := round.Envelopes; e != nil {
			p.Tables = append(p.Tables, e.table(fmt.Sprintf("round %d, envelopes", i+1)))
			p.Sections = append(p.Sections, e.section(fmt.Sprintf("Round %d: %s envelopes/s to three friends each", i+1, count(int(e.OfferedQPS)))))
		}
	}
	return p
}

// count writes a number with groups of thousands.
func count[T int | int64 | uint64](n T) string { return report.Number(float64(n)) }

func (r *EnvelopesResult) booksTable() report.Table {
	return report.Table{Head: []string{"books", "devices", "server"}, Rows: [][]string{
		{"envelopes issued, won", count(r.Won), count(r.Issued)},
		{"shares opened", count(r.Opened), count(r.ServerOpened)},
		{"cents won and opened", count(r.ClientCents), count(r.ServerCents)},
		{"audit of the store", "", r.Audit},
	}}
}

func ms(p *Percentiles) string {
	return fmt.Sprintf("%.1f / %.1f / %.1f / %.1f", p.P50, p.P99, p.P999, p.Max)
}

// rows are what all loads have in common.
func (t *Traffic) rows(what string) [][]string {
	return [][]string{
		{"offered, answered per second", fmt.Sprintf("%.0f, %.0f", t.OfferedQPS, t.AnsweredQPS)},
		{"lost, too busy for, held back", strings.Join([]string{count(t.Lost), count(t.Busy), count(t.Held)}, ", ")},
		{what + ", ms: p50 / p99 / p99.9 / max", ms(&t.LatencyMS)},
		{"generator's lateness, ms", ms(&t.LatenessMS)},
		{"CPU of server, of generator, us each", fmt.Sprintf("%.1f, %.1f", t.ServerCPU, t.ClientCPU)},
	}
}

func (s *Shakes) table(name string) report.Table {
	rows := append([][]string{{"shakes, answered", count(s.Due) + ", " + count(s.Answered)}}, s.rows("answered")...)
	rows = append(rows, []string{"issued, won", count(s.Issued) + ", " + count(s.Won)}, []string{"won, ms", ms(&s.WinMS)})
	if w := s.Windows; w != nil {
		rows = append(rows, []string{fmt.Sprintf("wins/s in windows of %d s", w.Seconds), fmt.Sprintf("%.1f to %.1f", w.Min, w.Max)},
			[]string{"windows within 5% of the rate", fmt.Sprintf("%.0f%% of %d", 100*w.Within, w.Count)})
	}
	return report.Table{Head: []string{name, ""}, Rows: rows}
}

func (e *SentEnvelopes) table(name string) report.Table {
	rows := append([][]string{{"envelopes, sent", count(e.Due) + ", " + count(e.Answered)}}, e.rows("sent")...)
	return report.Table{Head: []string{name, ""}, Rows: append(rows,
		[]string{"shares opened", count(e.Opened)}, []string{"opened, ms", ms(&e.OpenMS)})}
}

// line is a chart's line of what happened in each second.
func (t *Traffic) line(name string, of func(*PerSecond) uint32) report.Line {
	l := report.Line{Name: name}
	for i := range t.PerSecond {
		l.Values = append(l.Values, float64(of(&t.PerSecond[i])))
	}
	return l
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

package capacity

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteTable writes plans as a table in Markdown.
func WriteTable(w io.Writer, plans []*Plan) {
	fmt.Fprintln(w, "| users | messages/s at the peak | shakes/s | gateways | mailboxes | Redis machines | if history need not be in memory | regions at least | nearest limit in one region |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
	for _, p := range plans {
		fmt.Fprintf(w, "| %s | %s | %s ", number(p.Load.Users), number(p.Rate), number(p.Shakes))
		for _, n := range p.Needs {
			fmt.Fprintf(w, "| %s (%s) ", number(float64(n.Machines)), n.Because)
		}
		disk := p.Needs[len(p.Needs)-1].OnDisk
		fmt.Fprintf(w, "| %s | %d | %s: %.0f%% |\n", number(float64(disk)), p.Regions, p.Limits[0].Name, 100*p.Limits[0].Used)
	}
}

// number has commas between thousands.
func number(f float64) string {
	digits := strconv.FormatFloat(f, 'f', 0, 64)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// WriteSummary tells a person about one plan.
func (p *Plan) WriteSummary(w io.Writer) {
	l, m := &p.Load, &p.Machine
	fmt.Fprintf(w, "%s users: %s messages/s at the peak, %s connected, %s shakes/s\n",
		number(l.Users), number(p.Rate), number(l.Users*l.Connected), number(p.Shakes))
	fmt.Fprintf(w, "machines with %.0f cores, %.0f GiB and %.3g Gbit/s, cores %.0f%% busy:\n", m.Cores, m.Memory/(1<<30), m.Network*8/1e9, 100*m.Busy)
	for _, n := range p.Needs {
		fmt.Fprintf(w, "  %-8s %8s  because of %-8s cores then %2.0f%% busy, p99 there %.2f ms\n",
			n.Role, number(float64(n.Machines)), n.Because+";", 100*n.Busy, n.P99.Seconds()*1000)
		if n.OnDisk < n.Machines && n.Role == "redis" {
			fmt.Fprintf(w, "  %-8s %8s  if it keeps its data on disk\n", "", number(float64(n.OnDisk)))
		}
	}
	fmt.Fprintln(w, "what more machines do not help against, if it is one region:")
	for _, limit := range p.Limits {
		fmt.Fprintf(w, "  %-32s %6.1f%%\n", limit.Name, 100*limit.Used)
	}
	fmt.Fprintf(w, "so: at least %d region(s)\n", p.Regions)
}

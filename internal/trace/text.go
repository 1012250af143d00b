package trace

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// barWidth is how many columns the time of a trace has.
const barWidth = 32

// WriteText writes a trace as a waterfall: a line for each span, with a bar
// where it is in time.
func (t *Trace) WriteText(w io.Writer) error {
	begin, end := t.extent()
	var b strings.Builder
	fmt.Fprintf(&b, "trace %s  %s  %s in the server\n", t.ID, time.Unix(0, begin).Format("2006-01-02 15:04:05.000"), length(end-begin))
	fmt.Fprintf(&b, "  %-17s %10s %10s  %-*s  %s\n", "step", "after", "took", barWidth+2, "", "where")
	for i := range t.Spans {
		s := &t.Spans[i]
		fmt.Fprintf(&b, "  %-17s %10s %10s  |%s|  %s", s.Step, length(s.Start-begin), length(s.End-s.Start), bar(s, begin, end), s.Of)
		if s.Seq != 0 {
			fmt.Fprintf(&b, " #%d", s.Seq)
		}
		fmt.Fprintf(&b, "  %s", s.Node)
		if s.Error != im.KindUnspecified {
			fmt.Fprintf(&b, "  %s", s.Error)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// extent is when the trace begins, and when all but clients' acks has ended.
func (t *Trace) extent() (begin, end int64) {
	for i, s := range t.Spans {
		if i == 0 || s.Start < begin {
			begin = s.Start
		}
		if !waits(s.Step) {
			end = max(end, s.End)
		}
	}
	return begin, max(end, begin)
}

// bar shows where a span is between begin and end. What goes on beyond it ends
// in an arrow.
func bar(s *Span, begin, end int64) string {
	cols := []byte(strings.Repeat(" ", barWidth))
	scale := func(t int64) int {
		if end == begin {
			return 0
		}
		at := float64(t-begin) / float64(end-begin) * barWidth
		return int(min(max(at, 0), barWidth-1))
	}
	for i := scale(s.Start); i <= scale(s.End); i++ {
		cols[i] = '#'
	}
	if s.End > end {
		cols[barWidth-1] = '>'
	}
	return string(cols)
}

// length is a time to three places.
func length(ns int64) string {
	switch {
	case ns < 0:
		return "-" + length(-ns)
	case ns >= int64(time.Second):
		return fmt.Sprintf("%.3f s", float64(ns)/1e9)
	case ns >= int64(time.Millisecond):
		return fmt.Sprintf("%.3f ms", float64(ns)/1e6)
	}
	return fmt.Sprintf("%.1f us", float64(ns)/1e3)
}

// WriteSlow writes one line for each trace of a report.
func (r *Report) WriteSlow(w io.Writer) error {
	var b strings.Builder
	for i := range r.Traces {
		t := &r.Traces[i]
		begin, _ := t.extent()
		slowest := Span{}
		for _, s := range t.Spans {
			// The root is as long as what it contains.
			if !waits(s.Step) && s.Step != Send && s.End-s.Start >= slowest.End-slowest.Start {
				slowest = s
			}
		}
		fmt.Fprintf(&b, "%s  %s  %10s  longest: %s %s, %s\n", t.ID, time.Unix(0, begin).Format("15:04:05.000"),
			length(t.Longest), slowest.Step, length(slowest.End-slowest.Start), slowest.Node)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

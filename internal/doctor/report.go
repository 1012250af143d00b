package doctor

import (
	"fmt"
	"io"
	"strings"
)

// Write prints the report for a person.
func (r Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", links(r.MaxConns, r.Workers))
	count := map[Level]int{}
	for _, f := range r.Findings {
		count[f.Level]++
		f.write(&b)
	}
	fmt.Fprintf(&b, "\n%d fail, %d warn, %d unknown, %d good\n", count[Fail], count[Warn], count[Unknown], count[OK]+count[Info])
	_, err := io.WriteString(w, b.String())
	return err
}

func (f Finding) write(b *strings.Builder) {
	label := string(f.Level)
	if f.Level == Warn || f.Level == Fail {
		label = strings.ToUpper(label)
	}
	fmt.Fprintf(b, "%-8s %-18s  %s", label, f.Check, f.Value)
	if f.Need != "" {
		fmt.Fprintf(b, "; needed: %s", f.Need)
	}
	b.WriteByte('\n')
	for _, more := range []struct{ title, text string }{{"why", f.Why}, {"fix", f.Fix}} {
		if more.text != "" {
			fmt.Fprintf(b, "%29s%s: %s\n", "", more.title, more.text)
		}
	}
}

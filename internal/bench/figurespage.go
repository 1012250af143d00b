package bench

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/report"
)

// named is a member of a JSON object, in the order in which it was written. Its value
// is a []named, a []any, a string, a json.Number, a bool or nil.
type named struct {
	name  string
	value any
}

// FiguresPage is what a benchmark has written as JSON, whichever it was: its figures
// as tables, those of several runs or steps side by side.
func FiguresPage(title string, text []byte) (*report.Page, error) {
	// Valid also bounds how deep it is.
	if !json.Valid(text) {
		return nil, im.Errorf(im.Invalid, "it is not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := ordered(d)
	if err != nil {
		return nil, err
	}
	all, _ := v.([]named)
	var o outcome
	if err := json.Unmarshal(text, &o); err != nil || o.where() == nil {
		return nil, im.Errorf(im.Invalid, "it is no result of a benchmark: it does not say whether it is good, and where it was run")
	}
	p := &report.Page{Title: title, Verdict: title + ": everything was as it has to be.", Footer: o.where().String(), Tables: figureTables(title, all)}
	if !o.good() {
		p.Verdict, p.Bad = title+": NOT GOOD.", true
	}
	return p, nil
}

// outcome is what all results say. One of a chat and of the store alone is of both.
type outcome struct {
	Good        *bool        `json:"good"`
	Environment *Environment `json:"environment"`
	Chat        *outcome     `json:"chat"`
	Store       *outcome     `json:"store"`
}

// where is nil for what is no result.
func (o *outcome) where() *Environment {
	switch {
	case o == nil:
		return nil
	case o.Good != nil:
		return o.Environment
	}
	return cmp.Or(o.Chat.where(), o.Store.where())
}

func (o *outcome) good() bool {
	return o == nil || (o.Good == nil || *o.Good) && o.Chat.good() && o.Store.good()
}

// ordered reads a value.
func ordered(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		all := []named{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := ordered(d)
			if err != nil {
				return nil, err
			}
			all = append(all, named{fmt.Sprint(name), v})
		}
		_, err = d.Token()
		return all, err
	case json.Delim('['):
		all := []any{}
		for d.More() {
			v, err := ordered(d)
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
		_, err = d.Token()
		return all, err
	}
	return t, nil
}

// figureTables are the figures, then those of steps or runs, then the settings. All say
// whose they are: they may stand beside others'.
func figureTables(title string, all []named) []report.Table {
	figures := report.Table{Head: []string{title, ""}}
	settings := report.Table{Head: []string{title + ": settings", ""}}
	var steps []report.Table
	for _, n := range all {
		inner, object := n.value.([]named)
		list, many := n.value.([]any)
		switch {
		case n.name == "environment" || n.name == "good":
		case n.name == "config":
			settings.Rows = flat("", inner)
		case many && len(list) > 0 && isObject(list[0]):
			steps = append(steps, sideBySide(title+": "+plain(n.name), list))
		case object:
			figures.Rows = append(figures.Rows, flat(plain(n.name), without(inner, "config", "environment"))...)
		default:
			figures.Rows = append(figures.Rows, []string{plain(n.name), written(n.value)})
		}
	}
	tables := append([]report.Table{figures}, steps...)
	if len(settings.Rows) > 0 {
		tables = append(tables, settings)
	}
	return tables
}

func isObject(v any) bool { _, ok := v.([]named); return ok }

func without(all []named, names ...string) (rest []named) {
	for _, n := range all {
		if n.name != names[0] && n.name != names[1] {
			rest = append(rest, n)
		}
	}
	return rest
}

// flat are rows with the figures of an object and of those in it.
func flat(of string, all []named) (rows [][]string) {
	for _, n := range all {
		name := plain(n.name)
		if of != "" {
			name = of + ", " + name
		}
		if inner, ok := n.value.([]named); ok {
			rows = append(rows, flat(name, inner)...)
		} else {
			rows = append(rows, []string{name, written(n.value)})
		}
	}
	return rows
}

// sideBySide has a row for each figure and a column for each step.
func sideBySide(name string, steps []any) report.Table {
	t := report.Table{Head: []string{name}}
	row := map[string]int{}
	for i, step := range steps {
		t.Head = append(t.Head, fmt.Sprint(i+1))
		inner, _ := step.([]named)
		for _, r := range flat("", inner) {
			at, known := row[r[0]]
			if !known {
				at = len(t.Rows)
				row[r[0]] = at
				t.Rows = append(t.Rows, append([]string{r[0]}, make([]string, len(steps))...))
			}
			t.Rows[at][i+1] = r[1]
		}
	}
	return t
}

func plain(name string) string { return strings.ReplaceAll(name, "_", " ") }

// written is a value for people.
func written(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return report.Number(f)
		}
		return v.String()
	case []any:
		var all []string
		for _, one := range v {
			all = append(all, written(one))
		}
		return strings.Join(all, ", ")
	case []named:
		return fmt.Sprint(len(v), " figures")
	}
	return fmt.Sprint(v)
}

package report

import (
	_ "embed"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
)

// Page is what a report says.
type Page struct {
	Title string
	// Verdict is the outcome in a sentence; Bad makes it look so.
	Verdict string
	Bad     bool
	// Problems are what is behind a bad one.
	Problems []string
	Tables   []Table
	Sections []Section
	// Footer says where the figures come from.
	Footer string
}

// Table has rows of as many cells as its head.
type Table struct {
	Head []string
	Rows [][]string
}

// Section is a row of charts under a heading.
type Section struct {
	Title  string
	Charts []Chart
}

// Chart is some lines over time.
type Chart struct {
	Title string
	// Unit is that of the values.
	Unit  string
	Lines []Line
	// Step is how many seconds a value stands for; 0 is one.
	Step float64
}

// Line is a value for each step from 0; NaN where there is none.
type Line struct {
	Name   string
	Values []float64
}

//go:embed page.html
var pageText string

// Write writes the page as HTML.
func (p *Page) Write(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{"draw": drawChart}).Parse(pageText)
	if err != nil {
		return err
	}
	return t.Execute(w, p)
}

// Number writes a value with at most three digits that are not zero after the
// point, and groups of thousands.
func Number(v float64) string {
	digits := 0
	for f := 1.0; digits < 3 && v != math.Round(v*f)/f; f *= 10 {
		digits++
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	end := len(s)
	if digits > 0 {
		end -= digits + 1
	}
	for i := end - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Join makes one page of several: the first one's title, everybody's contents.
func Join(pages ...*Page) *Page {
	all := *pages[0]
	for _, p := range pages[1:] {
		all.Bad = all.Bad || p.Bad
		all.Verdict += " " + p.Verdict
		all.Problems = append(slices.Clip(all.Problems), p.Problems...)
		all.Tables = append(slices.Clip(all.Tables), p.Tables...)
		all.Sections = append(slices.Clip(all.Sections), p.Sections...)
		all.Footer += " " + p.Footer
	}
	return &all
}

package report

import (
	"bytes"
	"image/color"
	"image/png"
	"math"
	"strings"
	"testing"
)

func TestPageSaysEverythingAndAsksNobody(t *testing.T) {
	p := Page{
		Title: "Shakes <fast>", Verdict: "NOT GOOD", Bad: true, Problems: []string{"two cents are missing"}, Footer: "made here",
		Tables: []Table{{Head: []string{"what", "how many"}, Rows: [][]string{{"won", "40,000"}}}},
		Sections: []Section{{Title: "Round 1", Charts: []Chart{{
			Title: "Requests", Unit: "requests/s",
			Lines: []Line{{"sent", []float64{0, 30_000, 60_000}}, {"answered", []float64{0, 29_999}}},
		}}}},
	}
	var b strings.Builder
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Shakes &lt;fast&gt;", `class="verdict bad"`, "two cents are missing", "40,000", "Round 1", "60,000", "[0,29999]],&#34;step&#34;:1,",
		`class="line c1"`, "prefers-color-scheme: dark", "made here", `d="M76 204L344 109L612 14"`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, no := range []string{"http:", "https:", "src=", "ZgotmplZ", "NaN", "Inf"} {
		if strings.Contains(b.String(), no) {
			t.Errorf("%q in the page", no)
		}
	}
}

func TestChartsOfNothing(t *testing.T) {
	for _, lines := range [][]Line{nil, {{Name: "none"}}, {{"one", []float64{0}}}, {{"one", []float64{5}}}} {
		var b strings.Builder
		p := Page{Sections: []Section{{Charts: []Chart{{Lines: lines}}}}}
		if err := p.Write(&b); err != nil || strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
			t.Errorf("%v: %v", lines, err)
		}
	}
}

func TestLongLinesAreThinnedOut(t *testing.T) {
	values := make([]float64, 10*maxPoints)
	for i := range values {
		values[i] = float64(i)
	}
	short, step := thin([]Line{{"long", values}, {"short", values[:5]}})
	if step != 10 || len(short[0].Values) != maxPoints || short[0].Values[1] != 14.5 || len(short[1].Values) != 1 || short[1].Values[0] != 2 {
		t.Errorf("step %g, %d and %v", step, len(short[0].Values), short[1])
	}
}

func TestTicksAreRoundNumbers(t *testing.T) {
	for most, want := range map[float64]float64{1: 0.2, 60_000: 20_000, 200: 50, 205: 50, 5: 1, 0.04: 0.01} {
		if got := niceStep(most, 5); got != want {
			t.Errorf("ticks up to %g every %g, not %g", most, got, want)
		}
	}
}

func TestNumbersAreReadable(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 0.5: "0.5", 1234.25: "1,234.25", 315.03: "315.03", -1000: "-1,000", -100: "-100",
	} {
		if got := Number(v); got != want {
			t.Errorf("%g is %q, not %q", v, got, want)
		}
	}
}

func TestGapsAreNoValues(t *testing.T) {
	nan := math.NaN()
	c := Chart{Title: "x", Unit: "/s", Step: 10, Lines: []Line{{"a", []float64{1, nan, 3, 4, nan}}, {"none", []float64{nan}}}}
	d := drawChart(c)
	if len(d.Paths[0].Runs) != 2 || len(d.Paths[1].Runs) != 0 || !strings.Contains(d.Data, "[1,null,3,4,null],[null]") || !strings.Contains(d.Data, `"step":10`) {
		t.Errorf("%+v", d)
	}
	if strings.Count(d.Paths[0].D, "M") != 2 {
		t.Error(d.Paths[0].D)
	}
}

// A picture has the lines in their colors, and text.
func TestPicture(t *testing.T) {
	var b bytes.Buffer
	c := Chart{Title: "Requests", Unit: "/s", Lines: []Line{{"up", []float64{0, 50, 100}}, {"down", []float64{100, 50, 0}}, {"dot", []float64{70}}}}
	if err := c.PNG(&b); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[color.Color]int{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			seen[color.RGBAModel.Convert(img.At(x, y))]++
		}
	}
	for _, c := range []color.RGBA{paper, rule, soft, ink, strokes[0], strokes[1], strokes[2]} {
		if seen[c] < 5 {
			t.Errorf("%d pixels are %v", seen[c], c)
		}
	}
}

func TestTimesAreReadable(t *testing.T) {
	for _, c := range []struct {
		at, end float64
		want    string
	}{{30, 300, "30 s"}, {90, 3600, "1:30 min"}, {5400, 86400, "1:30 h"}} {
		if got := after(c.at, c.end); got != c.want {
			t.Errorf("%g of %g is %s", c.at, c.end, got)
		}
	}
	if s := niceTime(86400, 8); s != 10800 {
		t.Errorf("a day every %g s", s)
	}
}

func TestPagesAreJoined(t *testing.T) {
	p := Join(&Page{Title: "a", Verdict: "Good."}, &Page{Title: "b", Bad: true, Verdict: "Bad.", Sections: []Section{{}}})
	if p.Title != "a" || !p.Bad || p.Verdict != "Good. Bad." || len(p.Sections) != 1 {
		t.Errorf("%+v", p)
	}
}

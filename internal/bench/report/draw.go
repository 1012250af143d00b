package report

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"strings"
)

// drawing is a chart with everything in its place.
type drawing struct {
	Chart
	Width, Height float64
	// The lines are drawn in this part.
	Left, Top, Right, Bottom float64
	XTicks, YTicks           []tick
	Paths                    []path
	// Data is what the script reads, in JSON.
	Data string
}

// tick is a mark of an axis.
type tick struct {
	At   float64
	Text string
}

// path is a line as SVG draws it; Color numbers it.
type path struct {
	Name  string
	Color int
	D     string
}

// data is the values of all lines, one for every Step seconds.
type data struct {
	Values [][]float64 `json:"values"`
	Step   float64     `json:"step"`
	Left   float64     `json:"left"`
	Right  float64     `json:"right"`
	Unit   string      `json:"unit"`
}

// Measures of a chart, in its own units.
const (
	width, height            = 640, 240
	left, top, right, bottom = 76, 14, 28, 36
	maxPoints                = 600
	xTicks, yTicks           = 8, 5
	colors                   = 4
)

// draw places a chart.
func draw(c Chart) drawing {
	d := drawing{Chart: c, Width: width, Height: height, Left: left, Top: top, Right: width - right, Bottom: height - bottom}
	lines, step := thin(c.Lines)
	points, most := 1, 0.0
	for _, l := range lines {
		points = max(points, len(l.Values))
		for _, v := range l.Values {
			most = max(most, v)
		}
	}
	end, unit := float64(max(points-1, 1))*step, niceStep(max(most, 1), yTicks)
	most = math.Ceil(max(most, 1)/unit) * unit
	x := func(seconds float64) float64 { return round(d.Left + (d.Right-d.Left)*seconds/end) }
	y := func(v float64) float64 { return round(d.Bottom - (d.Bottom-d.Top)*v/most) }
	for v := 0.0; v <= most*1.001; v += unit {
		d.YTicks = append(d.YTicks, tick{y(v), Number(v)})
	}
	for s, by := 0.0, niceStep(end, xTicks); s <= end; s += by {
		d.XTicks = append(d.XTicks, tick{x(s), Number(s) + " s"})
	}
	values := data{Step: step, Left: d.Left, Right: x(end), Unit: c.Unit}
	for i, l := range lines {
		d.Paths = append(d.Paths, path{l.Name, i % colors, trace(l.Values, step, x, y)})
		values.Values = append(values.Values, l.Values)
	}
	d.Data = values.encode()
	return d
}

func (d *data) encode() string {
	b, err := json.Marshal(d)
	if err != nil {
		panic("report: values that are no numbers: " + err.Error())
	}
	return string(b)
}

// trace is a line through values.
func trace(values []float64, step float64, x, y func(float64) float64) string {
	var b strings.Builder
	for i, v := range values {
		letter := 'L'
		if i == 0 {
			letter = 'M'
		}
		fmt.Fprintf(&b, "%c%g %g", letter, x(float64(i)*step), y(v))
	}
	return b.String()
}

// thin makes lines short enough; step is how many seconds a point stands for.
func thin(lines []Line) (short []Line, step float64) {
	longest := 0
	for _, l := range lines {
		longest = max(longest, len(l.Values))
	}
	n := max(1, (longest+maxPoints-1)/maxPoints)
	for _, l := range lines {
		s := Line{Name: l.Name, Values: []float64{}}
		for from := 0; from < len(l.Values); from += n {
			part, sum := l.Values[from:min(from+n, len(l.Values))], 0.0
			for _, v := range part {
				sum += v
			}
			s.Values = append(s.Values, round(sum/float64(len(part))))
		}
		short = append(short, s)
	}
	return short, float64(n)
}

// niceStep is 1, 2 or 5 times a power of ten, and goes into most at most so many
// times.
func niceStep(most float64, times int) float64 {
	power := math.Pow(10, math.Floor(math.Log10(most/float64(times))))
	for _, f := range []float64{1, 2, 5} {
		if most/(f*power) <= float64(times) {
			return f * power
		}
	}
	return 10 * power
}

// round keeps two digits.
func round(v float64) float64 { return math.Round(v*100) / 100 }

// Class is how the page calls the color of a line.
func (p path) Class() template.HTMLAttr {
	return template.HTMLAttr(fmt.Sprintf(`class="line c%d"`, p.Color))
}

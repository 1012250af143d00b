package report

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"strconv"
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
	// Runs are the points of D: a gap ends one.
	Runs [][]point
}

type point struct{ X, Y float64 }

// data is the values of all lines, one for every Step seconds.
type data struct {
	Values []numbers `json:"values"`
	Step   float64   `json:"step"`
	Left   float64   `json:"left"`
	Right  float64   `json:"right"`
	Unit   string    `json:"unit"`
}

// numbers are written with null for NaN.
type numbers []float64

// MarshalJSON implements json.Marshaler.
func (n numbers) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, v := range n {
		if i > 0 {
			b = append(b, ',')
		}
		if math.IsNaN(v) {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendFloat(b, v, 'f', -1, 64)
		}
	}
	return append(b, ']'), nil
}

// Measures of a chart, in its own units.
const (
	width, height            = 640, 240
	left, top, right, bottom = 76, 14, 28, 36
	maxPoints                = 600
	xTicks, yTicks           = 8, 5
	colors                   = 4
)

// drawChart places a chart.
func drawChart(c Chart) drawing {
	d := drawing{Chart: c, Width: width, Height: height, Left: left, Top: top, Right: width - right, Bottom: height - bottom}
	lines, step := thin(c.Lines)
	step *= max(c.Step, 1)
	points, most := 1, 0.0
	for _, l := range lines {
		points = max(points, len(l.Values))
		for _, v := range l.Values {
			if v > most {
				most = v
			}
		}
	}
	end, unit := float64(max(points-1, 1))*step, niceStep(max(most, 1), yTicks)
	most = math.Ceil(max(most, 1)/unit) * unit
	x := func(seconds float64) float64 { return round(d.Left + (d.Right-d.Left)*seconds/end) }
	// What is below zero is drawn at zero: nothing that is charted should be.
	y := func(v float64) float64 { return round(d.Bottom - (d.Bottom-d.Top)*max(v, 0)/most) }
	for v := 0.0; v <= most*1.001; v += unit {
		d.YTicks = append(d.YTicks, tick{y(v), Number(v)})
	}
	for s, by := 0.0, niceTime(end, xTicks); s <= end; s += by {
		d.XTicks = append(d.XTicks, tick{x(s), after(s, end)})
	}
	values := data{Step: step, Left: d.Left, Right: x(end), Unit: c.Unit}
	for i, l := range lines {
		runs := place(l.Values, step, x, y)
		d.Paths = append(d.Paths, path{l.Name, i % colors, trace(runs), runs})
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

// place finds the points of a line, in runs between its gaps.
func place(values []float64, step float64, x, y func(float64) float64) (runs [][]point) {
	open := false
	for i, v := range values {
		if math.IsNaN(v) {
			open = false
			continue
		}
		if !open {
			runs, open = append(runs, nil), true
		}
		last := len(runs) - 1
		runs[last] = append(runs[last], point{x(float64(i) * step), y(v)})
	}
	return runs
}

// trace is a line through points, as SVG has it.
func trace(runs [][]point) string {
	var b strings.Builder
	for _, run := range runs {
		for i, p := range run {
			letter := 'L'
			if i == 0 {
				letter = 'M'
			}
			fmt.Fprintf(&b, "%c%g %g", letter, p.X, p.Y)
		}
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
			s.Values = append(s.Values, mean(l.Values[from:min(from+n, len(l.Values))]))
		}
		short = append(short, s)
	}
	return short, float64(n)
}

// largest is the largest value that is drawn; what is beyond is no figure of anything.
const largest = 1e24

// mean is NaN of nothing.
func mean(part []float64) float64 {
	sum, n := 0.0, 0.0
	for _, v := range part {
		if math.Abs(v) <= largest {
			sum += v
			n++
		}
	}
	return round(sum / n)
}

// niceTime is a number of seconds that clocks have marks for.
func niceTime(most float64, times int) float64 {
	for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200} {
		if most/s <= float64(times) {
			return s
		}
	}
	return 86400 * math.Ceil(most/86400/float64(times))
}

// after writes how long after the start something is, of which end is the
// longest.
func after(seconds, end float64) string {
	switch s := int(seconds); {
	case end <= 600:
		return Number(seconds) + " s"
	case end <= 7200:
		return fmt.Sprintf("%d:%02d min", s/60, s%60)
	default:
		return fmt.Sprintf("%d:%02d h", s/3600, s/60%60)
	}
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

package report

import (
	"encoding/binary"
	"io"
	"math"
	"strings"
	"testing"
)

// FuzzChart draws any values, both ways: everything is within the chart.
func FuzzChart(f *testing.F) {
	seed := func(values ...float64) []byte {
		var b []byte
		for _, v := range values {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
		return b
	}
	f.Add(seed(0, 1, math.NaN(), 2.5), 1.0, false)
	f.Add(seed(1e18, -1e18, 5), 1.8e14, true)
	f.Add(seed(-1, -2, math.Inf(1), 1e-300), -1.0, true)
	f.Fuzz(func(t *testing.T, b []byte, step float64, picture bool) {
		if !(math.Abs(step) <= 1e18) {
			return
		}
		line := Line{Name: "a"}
		for ; len(b) >= 8; b = b[8:] {
			line.Values = append(line.Values, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
		c := Chart{Title: "x", Unit: "bytes", Step: step, Lines: []Line{line, {Name: "short", Values: []float64{1}}}}
		d := drawChart(c)
		for _, p := range d.Paths {
			for _, run := range p.Runs {
				for _, at := range run {
					if !(at.X >= d.Left && at.X <= d.Right && at.Y >= d.Top && at.Y <= d.Bottom) {
						t.Fatalf("a point is at %v", at)
					}
				}
			}
		}
		if strings.Contains(d.Data, "Inf") || len(d.YTicks) > 2*yTicks || len(d.XTicks) > 2*xTicks {
			t.Fatalf("%d and %d marks: %s", len(d.XTicks), len(d.YTicks), d.Data)
		}
		if picture {
			if err := c.PNG(io.Discard); err != nil {
				t.Fatal(err)
			}
		}
	})
}

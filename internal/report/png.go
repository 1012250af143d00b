package report

import (
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

const (
	// zoom is how many pixels a unit of a chart is.
	zoom = 2
	// head and foot are the room for the title and the names of the lines.
	head, foot = 28, 26
	textSize   = 11
)

var (
	paper   = color.RGBA{255, 255, 255, 255}
	ink     = color.RGBA{27, 31, 36, 255}
	soft    = color.RGBA{89, 99, 110, 255}
	rule    = color.RGBA{217, 222, 228, 255}
	strokes = [colors]color.RGBA{{9, 105, 218, 255}, {209, 87, 10, 255}, {26, 127, 55, 255}, {130, 80, 223, 255}}
)

// picture is a chart in pixels.
type picture struct {
	img  *image.RGBA
	face font.Face
}

// PNG writes the chart as a picture.
func (c Chart) PNG(w io.Writer) error {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return err
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: textSize * zoom, DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		return err
	}
	defer face.Close()
	d := drawChart(c)
	p := &picture{image.NewRGBA(image.Rect(0, 0, int(d.Width)*zoom, int(d.Height+head+foot)*zoom)), face}
	draw.Draw(p.img, p.img.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	p.text(d.Left, 18, c.Title+" ("+c.Unit+")", ink, 0)
	p.axes(&d)
	for _, line := range d.Paths {
		for _, run := range line.Runs {
			p.stroke(run, 1.8, strokes[line.Color])
		}
	}
	p.names(&d)
	return png.Encode(w, p.img)
}

func (p *picture) axes(d *drawing) {
	for _, t := range d.YTicks {
		p.stroke([]point{{d.Left, t.At}, {d.Right, t.At}}, 1, rule)
		p.text(d.Left-6, t.At+head+4, t.Text, soft, 1)
	}
	for _, t := range d.XTicks {
		p.text(t.At, d.Height+head-8, t.Text, soft, 0.5)
	}
}

// names says which line is which.
func (p *picture) names(d *drawing) {
	x, y := d.Left, d.Height+head+12
	for _, line := range d.Paths {
		p.stroke([]point{{x, y - head - 4}, {x + 14, y - head - 4}}, 2.4, strokes[line.Color])
		x = p.text(x+18, y, line.Name, soft, 0) + 16
	}
}

// text writes from x on, or up to it (back 1), or around it (0.5), and returns
// where it ends.
func (p *picture) text(x, y float64, s string, c color.RGBA, back float64) float64 {
	wide := float64(font.MeasureString(p.face, s)) / 64 / zoom
	x -= wide * back
	dr := font.Drawer{Dst: p.img, Src: image.NewUniform(c), Face: p.face, Dot: fixed.Point26_6{
		X: fixed.Int26_6(x * zoom * 64), Y: fixed.Int26_6(y * zoom * 64),
	}}
	dr.DrawString(s)
	return x + wide
}

// stroke draws a line through points, a quadrangle for each piece; one point
// alone is a dot. Points are below the title.
func (p *picture) stroke(run []point, width float64, c color.RGBA) {
	b := p.img.Bounds()
	r := vector.NewRasterizer(b.Dx(), b.Dy())
	half := width * zoom / 2
	for i, at := range run {
		x, y := at.X*zoom, (at.Y+head)*zoom
		if i == 0 {
			quad(r, x-half, y, x+half, y, half)
			continue
		}
		quad(r, run[i-1].X*zoom, (run[i-1].Y+head)*zoom, x, y, half)
	}
	r.Draw(p.img, b, image.NewUniform(c), image.Point{})
}

// quad adds a piece of a line.
func quad(r *vector.Rasterizer, x0, y0, x1, y1, half float64) {
	dx, dy := x1-x0, y1-y0
	long := math.Hypot(dx, dy)
	if long == 0 {
		return
	}
	nx, ny := -dy/long*half, dx/long*half
	r.MoveTo(float32(x0+nx), float32(y0+ny))
	r.LineTo(float32(x1+nx), float32(y1+ny))
	r.LineTo(float32(x1-nx), float32(y1-ny))
	r.LineTo(float32(x0-nx), float32(y0-ny))
	r.ClosePath()
}

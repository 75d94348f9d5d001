//go:build linux

package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A bar is one program of the chart of starts, with its ratios.
type bar struct {
	name  string
	ratio sample
}

// A series is a line of the chart of scale.
type series struct{ points plotter.XYs }

// point adds to the line of name what n gateways took.
func (b *bench) point(name string, n int, times sample) {
	if b.scale[name] == nil {
		b.scale[name] = &series{}
	}
	b.scale[name].points = append(b.scale[name].points, plotter.XY{X: float64(n), Y: times.median()})
}

// lines are those of the chart of scale, from the top down, in colours that can be
// told apart also by who sees few.
var lines = []struct {
	name   string
	colour color.RGBA
	glyph  draw.GlyphDrawer
	dashes []vg.Length
}{
	{"s6-svstat in a loop", color.RGBA{0xd5, 0x5e, 0, 0xff}, draw.SquareGlyph{}, []vg.Length{6, 3}},
	{"hermes-svstat -o up", color.RGBA{0xd5, 0x5e, 0, 0xff}, draw.BoxGlyph{}, nil},
	{"hermes-reconcile, fresh", color.RGBA{0, 0x72, 0xb2, 0xff}, draw.CircleGlyph{}, nil},
	{"hermes-reconcile, again", color.RGBA{0, 0x9e, 0x73, 0xff}, draw.PyramidGlyph{}, nil},
	{"slots in C", color.RGBA{0x55, 0x55, 0x55, 0xff}, draw.RingGlyph{}, []vg.Length{6, 3}},
}

// charts draws what was measured.
func (b *bench) charts(dir string) error {
	for _, l := range lines {
		if b.scale[l.name] == nil {
			return nil // only some of it was
		}
	}
	if err := b.drawScale(filepath.Join(dir, "bench-scale.svg")); err != nil {
		return err
	}
	if b.starts == nil {
		return nil
	}
	return b.drawStarts(filepath.Join(dir, "bench-start.svg"))
}

func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.Title.Padding = vg.Points(8)
	p.Title.TextStyle.Font.Size = 14
	for _, f := range []*font.Font{&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font,
		&p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font} {
		f.Variant = "Sans"
	}
	p.X.Label.Padding, p.Y.Label.Padding = vg.Points(4), vg.Points(4)
	return p
}

// drawScale draws what things cost against the number of gateways.
func (b *bench) drawScale(path string) error {
	p := newPlot("Cost against the number of gateways")
	p.X.Label.Text, p.Y.Label.Text = "gateways", "milliseconds"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{0xdd}, color.Gray{0xdd}
	p.Add(grid)
	low, high := math.Inf(1), 0.0
	for _, l := range lines {
		line, points, err := plotter.NewLinePoints(b.scale[l.name].points)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		line.Color, line.Width, line.Dashes = l.colour, vg.Points(1.5), l.dashes
		points.Color, points.Shape, points.Radius = l.colour, l.glyph, vg.Points(3.5)
		p.Add(line, points)
		p.Legend.Add(l.name, line, points)
		_, _, bottom, top := plotter.XYRange(b.scale[l.name].points)
		low, high = min(low, bottom), max(high, top)
	}
	p.X.Min, p.X.Max = 1, 10000
	p.Y.Min, p.Y.Max = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	ticks := decades(p.Y.Min, p.Y.Max)
	p.X.Tick.Marker, p.Y.Tick.Marker = decades(p.X.Min, p.X.Max), ticks
	for i, tick := range ticks {
		if tick.Label != "" {
			ticks[i].Label += room
		}
	}
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(10), vg.Points(-6)
	p.Legend.ThumbnailWidth, p.Legend.Padding = vg.Points(30), vg.Points(3)
	return save(p, 640, 440, path)
}

// decades ticks the powers of ten, and between them without a label.
func decades(low, high float64) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for x := low; x <= high; x *= 10 {
		label := fmt.Sprint(x)
		if x >= 1 {
			label = count(int(math.Round(x)))
		}
		ticks = append(ticks, plot.Tick{Value: x, Label: label})
		for k := 2.0; k < 10 && k*x < high; k++ {
			ticks = append(ticks, plot.Tick{Value: k * x})
		}
	}
	return ticks
}

// drawStarts draws what a start costs, in starts of an empty Go program.
func (b *bench) drawStarts(path string) error {
	p := newPlot("A start, against that of an empty Go program")
	p.X.Label.Text = "ratio (median, and 10% to 90% of rounds)"
	n := len(b.starts)
	values, names := make(plotter.Values, n), make([]string, n)
	spread := struct {
		plotter.XYs
		plotter.XErrors
	}{make(plotter.XYs, n), make(plotter.XErrors, n)}
	labels := plotter.XYLabels{XYs: make(plotter.XYs, n), Labels: make([]string, n)}
	most := 0.0
	for i, s := range b.starts {
		at := n - 1 - i // the first is on top
		low, median, high := s.ratio.quantile(0.1), s.ratio.median(), s.ratio.quantile(0.9)
		values[at], names[at] = median, s.name+room+room+room
		spread.XYs[at] = plotter.XY{X: median, Y: float64(at)}
		spread.XErrors[at].Low, spread.XErrors[at].High = median-low, high-median
		labels.XYs[at] = plotter.XY{X: max(high, median), Y: float64(at)}
		labels.Labels[at] = figure(median)
		most = max(most, high)
	}
	bars, err := plotter.NewBarChart(values, vg.Points(18))
	if err != nil {
		return err
	}
	bars.Horizontal, bars.Color, bars.LineStyle.Width = true, color.RGBA{0x8c, 0xb8, 0xd8, 0xff}, 0
	whiskers, err := plotter.NewXErrorBars(spread)
	if err != nil {
		return err
	}
	text, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	text.Offset = vg.Point{X: vg.Points(8)}
	for i := range text.TextStyle {
		text.TextStyle[i].Font.Variant, text.TextStyle[i].YAlign = "Sans", draw.YCenter
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Width, grid.Vertical.Color = 0, color.Gray{0xdd}
	p.Add(grid, bars, whiskers, text)
	p.NominalY(names...)
	p.X.Min, p.X.Max = 0, most*1.12
	var ticks plot.ConstantTicks
	for x := 0.0; x <= p.X.Max; x++ {
		ticks = append(ticks, plot.Tick{Value: x, Label: fmt.Sprint(x)}, plot.Tick{Value: x + 0.5})
	}
	p.X.Tick.Marker = ticks
	return save(p, 640, 280, path)
}

// room is what text that ends at an axis keeps from it: the library places it by the
// measures of a font that whoever looks at it may not have, and theirs may be wider.
const room = "   "

// save draws p with a margin, for the same reason, and writes it as SVG.
func save(p *plot.Plot, width, height vg.Length, path string) error {
	svg := vgsvg.New(width, height)
	page := draw.New(svg)
	svg.SetColor(color.White)
	svg.Fill(page.Rectangle.Path())
	p.Draw(draw.Crop(page, vg.Points(8), vg.Points(-24), vg.Points(6), vg.Points(-10)))
	var text bytes.Buffer
	if _, err := svg.WriteTo(&text); err != nil {
		return err
	}
	// Where the font is not there, another without serifs is.
	fallback := bytes.ReplaceAll(text.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
	return os.WriteFile(path, fallback, 0o644)
}

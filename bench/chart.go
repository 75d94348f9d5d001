//go:build linux

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// This file draws the charts of docs/performance.md from its tables, so chart and table agree,
// whichever of them was measured last. It writes SVG itself: with a plotting library it was 50
// lines longer, and go.sum had 27 more modules.

// A chart is an SVG: a plot within margins. Its methods take positions in the plot, from its
// left and its top.
type chart struct{ text strings.Builder }

const (
	inner                 = 480 // the width of a plot
	top, right, bottom    = 40, 30, 50
	barHeight, scaleInner = 36, 350
)

// newChart begins a chart with this title and with axis below its plot. height is the plot's,
// left is the room for words at its left.
func newChart(title, axis string, height, left float64) *chart {
	c := &chart{}
	fmt.Fprintf(&c.text, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="Arial,Helvetica,sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="white"/>
<g transform="translate(%g,%d)">
`, left+inner+right, height+top+bottom, left, top)
	c.words(inner/2, -18, "middle", title)
	c.words(inner/2, height+40, "middle", axis)
	return c
}

func (c *chart) words(x, y float64, anchor, text string) {
	fmt.Fprintf(&c.text, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, text)
}

// path draws a path through points, with SVG's description of a stroke.
func (c *chart) path(stroke string, points ...float64) {
	c.text.WriteString(`<polyline fill="none" ` + stroke + ` points="`)
	for i, p := range points {
		fmt.Fprintf(&c.text, "%.1f%c", p, ", "[i%2])
	}
	c.text.WriteString("\"/>\n")
}

func (c *chart) write(path string) error {
	return os.WriteFile(path, []byte(c.text.String()+"</g>\n</svg>\n"), 0o644)
}

const grid = `stroke="#ddd"`

// charts draws both charts from the tables of text.
func charts(text string) error {
	starts, err := cells(text, "start")
	status, e := cells(text, "status")
	reconcile, e2 := cells(text, "reconcile")
	if err = errors.Join(err, e, e2); err != nil {
		return err
	}
	return errors.Join(drawStarts(starts), drawScale(status, reconcile))
}

// drawStarts draws what a start costs, in starts of an empty Go program.
func drawStarts(starts [][]string) error {
	const unit = inner / 2.2
	height := float64(barHeight * len(starts))
	c := newChart("A start, against that of an empty Go program", "ratio (median, and 10% to 90% of rounds)", height, 190)
	for x := range 3 {
		c.path(grid, float64(x)*unit, 0, float64(x)*unit, height)
		c.words(float64(x)*unit, height+18, "middle", fmt.Sprint(x))
	}
	for i, row := range starts {
		var median, low, high float64
		if _, err := fmt.Sscanf(row[2], "%g (%g to %g)", &median, &low, &high); err != nil {
			return fmt.Errorf("%s: %w", row[2], err)
		}
		y := barHeight * (float64(i) + 0.5)
		fmt.Fprintf(&c.text, "<rect y=\"%.1f\" width=\"%.1f\" height=\"20\" fill=\"#8cb8d8\"/>\n", y-10, median*unit)
		c.path(`stroke="black"`, low*unit, y, high*unit, y)
		c.words(-8, y+4, "end", row[0])
		c.words(max(median, high)*unit+8, y+4, "start", figure(median))
	}
	return c.write("docs/bench-start.svg")
}

// lines are those of the chart of scale: the table column with the milliseconds, and the
// column by which to divide or multiply it.
var lines = []struct {
	name, stroke  string
	table         int
	ms, over, per int
}{
	{"s6-svstat in a loop", `stroke="#d55e00" stroke-dasharray="6,3"`, 0, 1, 0, 0},
	{"hermes-svstat -o up", `stroke="#d55e00"`, 0, 1, 2, 0},
	{"hermes-reconcile, fresh", `stroke="#0072b2"`, 1, 1, 0, 0},
	{"hermes-reconcile, again", `stroke="#009e73"`, 1, 1, 0, 3},
	{"slots in C", `stroke="#555" stroke-dasharray="6,3"`, 1, 1, 2, 0},
}

// drawScale draws costs against the number of gateways, both in powers of ten: 1 to 10,000
// gateways, and 1 ms to 10 s.
func drawScale(tables ...[][]string) error {
	const decades = 4
	x := func(n float64) float64 { return inner / decades * math.Log10(n) }
	y := func(ms float64) float64 { return scaleInner - scaleInner/decades*math.Log10(ms) }
	c := newChart("Milliseconds, against the number of gateways", "gateways", scaleInner, 60)
	for i, n := 0, 1; i <= decades; i, n = i+1, n*10 {
		at := float64(n)
		c.path(grid, x(at), 0, x(at), scaleInner)
		c.path(grid, 0, y(at), inner, y(at))
		c.words(x(at), scaleInner+18, "middle", count(n))
		c.words(-8, y(at)+4, "end", count(n))
	}
	for i, l := range lines {
		var points []float64
		for _, row := range tables[l.table] {
			n, err := number(row[0])
			ms, e := number(row[l.ms])
			by := []float64{1, 1}
			for k, column := range []int{l.over, l.per} {
				if column > 0 && e == nil {
					by[k], e = number(row[column])
				}
			}
			if err = errors.Join(err, e); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			points = append(points, x(n), y(ms/by[0]*by[1]))
		}
		stroke := l.stroke + ` stroke-width="2"`
		c.path(stroke, points...)
		c.path(stroke, 12, float64(14+18*i), 44, float64(14+18*i))
		c.words(52, float64(18+18*i), "start", l.name)
	}
	return c.write("docs/bench-scale.svg")
}

// number parses the number at the beginning of a table's cell.
func number(cell string) (float64, error) {
	first, _, _ := strings.Cut(cell, " ")
	return strconv.ParseFloat(strings.ReplaceAll(first, ",", ""), 64)
}

//go:build linux

package svstat

import (
	"bufio"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Screen is the table of a Follower on a terminal, redrawn in place when something changes.
// Its lines are cut to the window, so that no line wraps and none scrolls away. If there is no
// room for all states, those in trouble come first. Each drawing is one write that leaves the
// cursor below the table. So whenever we are killed, the terminal is as any program leaves it.
type Screen struct {
	Out     *bufio.Writer
	Reader  *Reader
	Colours bool
	// Size returns the window's columns and lines.
	Size   func() (columns, lines int)
	states []State
	drawn  []int // the length of each line on the screen
	last   string
}

// Escape sequences (console_codes(4)).
const (
	upLines   = "\x1b[%dA"
	eraseLine = "\x1b[K"
	eraseRest = "\x1b[J"
)

// Draw draws states.
func (s *Screen) Draw(states []State) error {
	s.states = states
	return s.draw()
}

// Resized redraws the table after the window has changed.
func (s *Screen) Resized() error {
	s.last = ""
	return s.draw()
}

func (s *Screen) draw() error {
	columns, height := s.Size()
	var b strings.Builder
	// In a window that has become narrower, the terminal wraps the existing lines.
	up := 0
	for _, n := range s.drawn {
		up += max(1, (n+columns-1)/columns)
	}
	if up = min(up, height-1); up > 0 {
		fmt.Fprintf(&b, upLines, up)
	}
	var drawn []int
	for _, line := range s.lines(height - 1) {
		text, width := cut(line, columns)
		drawn = append(drawn, width)
		b.WriteString("\r" + eraseLine + text + "\n")
	}
	b.WriteString(eraseRest)
	if b.String() == s.last {
		return nil
	}
	s.last, s.drawn = b.String(), drawn
	s.Out.WriteString(b.String())
	return s.Out.Flush()
}

// lines returns the table, and what is below it, in at most most lines.
func (s *Screen) lines(most int) []string {
	states, rest := s.states, 0
	if room := max(most-1, 0); len(states) > room {
		room = max(room-1, 0)
		rest = len(states) - room
		states = worst(states)[:room]
	}
	rows := [][]string{followedTitles}
	var notes []string
	for i := range states {
		rows = append(rows, states[i].followedCells())
		notes = append(notes, s.Reader.notes(&states[i])...)
	}
	widths := widen(make([]int, len(titles)), rows)
	var lines []string
	for i, row := range rows {
		colour := plain
		if i > 0 {
			colour = states[i-1].colour()
		}
		if !s.Colours {
			colour = ""
		}
		lines = append(lines, aligned(row, widths, colour))
	}
	if rest > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", rest))
	}
	lines = append(lines, notes...)
	return lines[:min(len(lines), max(most, 0))]
}

// worst returns states in the order of their ranks.
func worst(states []State) (sorted []State) {
	for rank := range 3 {
		for i := range states {
			if states[i].rank() == rank {
				sorted = append(sorted, states[i])
			}
		}
	}
	return sorted
}

// rank is lower for what is to be seen first.
func (s *State) rank() int {
	switch {
	case s.Trouble != "":
		return 0
	case !s.Works():
		return 1
	}
	return 2
}

// cut returns the part of line that fits into columns, and its width. Escape sequences have no
// width; characters that may be wide count as two columns.
func cut(line string, columns int) (string, int) {
	width := 0
	for i := 0; i < len(line); {
		if end := strings.IndexByte(line[i:], 'm'); line[i] == '\x1b' && end > 0 {
			i += end + 1
			continue
		}
		r, size := utf8.DecodeRuneInString(line[i:])
		w := 1
		if r >= 0x1100 {
			w = 2
		}
		if width+w > columns {
			if strings.Contains(line[i:], plain) {
				return line[:i] + plain, width
			}
			return line[:i], width
		}
		width += w
		i += size
	}
	return line, width
}

//go:build linux

package svstat

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Timeless returns s without what goes by the time alone: for how long it has been so, and
// how many of its deaths were in the last minute. That it waits to be started stays.
func (s *State) Timeless() State {
	t := *s
	t.Seconds, t.Deaths, t.NextStart = 0, 0, min(s.NextStart, 1)
	return t
}

// Object returns what --follow --json prints of c.
func (c *Change) Object() any {
	if c.State != nil {
		return c.State.Object()
	}
	return struct {
		Name    string `json:"name"`
		Removed bool   `json:"removed"`
	}{c.Name, true}
}

// ShownInJSON is for a Follower whose states are printed as objects.
func ShownInJSON(s *State) string {
	t := s.Timeless()
	text, _ := json.Marshal(t.Object()) // of texts, numbers and truths
	return string(text)
}

// ShownInTable is for one whose states are printed as rows.
func ShownInTable(s *State) string {
	t := s.Timeless()
	return strings.Join(t.followedCells(), "\t")
}

// Rows prints rows of the table one after the other. FOR would be true of one moment, so
// that it is SINCE instead.
type Rows struct {
	Out    *bufio.Writer
	widths []int // the columns', which only grow
}

// usual are widths that most rows to come fit in.
var usual = []int{12, 12, 7, len(time.RFC3339) - len("07:00"), 0, 0, 9, 7, 0}

var followedTitles = append(append(append([]string{}, titles[:spanColumn]...), "SINCE"), titles[spanColumn+1:]...)

func (s *State) followedCells() []string {
	cells := s.cells()
	cells[spanColumn] = "-"
	if s.Supervised && !s.Since.IsZero() {
		cells[spanColumn] = s.Since.Format(time.RFC3339)
	}
	return cells
}

// removed returns the cells of one that is gone.
func removed(name string) []string {
	cells := []string{name, "removed"}
	for len(cells) < len(titles) {
		cells = append(cells, "-")
	}
	return cells
}

// Print prints what has changed, below titles the first time.
func (r *Rows) Print(changes []Change) error {
	var rows [][]string
	if r.widths == nil {
		rows, r.widths = append(rows, followedTitles), append([]int{}, usual...)
	}
	for i := range changes {
		if s := changes[i].State; s != nil {
			rows = append(rows, s.followedCells())
		} else {
			rows = append(rows, removed(changes[i].Name))
		}
	}
	r.widths = widen(r.widths, rows)
	for _, row := range rows {
		fmt.Fprintln(r.Out, aligned(row, r.widths, ""))
	}
	return r.Out.Flush()
}

// widen returns how wide columns must be for rows as well.
func widen(widths []int, rows [][]string) []int {
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// aligned returns a line of the table, its state in colour unless that is "".
func aligned(cells []string, widths []int, colour string) string {
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteString("  ")
		}
		if i == stateColumn && colour != "" {
			b.WriteString(colour + cell + plain)
		} else {
			b.WriteString(cell)
		}
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}
	}
	return b.String()
}

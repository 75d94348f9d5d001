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

// Timeless returns s without what changes with time alone: how long it has been in this state,
// and how many deaths were in the last minute. It keeps that the service waits to be started.
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

// ShownInJSON is the Shown of a Follower whose states are printed as objects.
func ShownInJSON(s *State) string {
	t := s.Timeless()
	text, _ := json.Marshal(t.Object()) // strings, numbers and booleans never fail
	return string(text)
}

// ShownInTable is the Shown of a Follower whose states are printed as rows.
func ShownInTable(s *State) string {
	t := s.Timeless()
	return strings.Join(t.followedCells(), "\t")
}

// Rows prints rows of the table one after the other. It prints SINCE instead of FOR, which
// would be true for one moment only.
type Rows struct {
	Out    *bufio.Writer
	widths []int // of the columns, which only grow
}

// usual are widths that fit most rows to come.
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

// removed returns the cells of a service that is gone.
func removed(name string) []string {
	cells := []string{name, "removed"}
	for len(cells) < len(titles) {
		cells = append(cells, "-")
	}
	return cells
}

// Print prints what has changed, the first time below the titles.
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

// widen returns widths that fit rows as well.
func widen(widths []int, rows [][]string) []int {
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// aligned returns a line of the table, with its state in colour unless colour is "".
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

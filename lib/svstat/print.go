//go:build linux

package svstat

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fence"
	"hermes-s6/lib/profile"
)

// Colours of the state column. They all have the same length, so that tabwriter, which counts
// them as text, still aligns what follows.
const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	plain  = "\x1b[39m"
)

// titles are the titles of the table's columns.
var titles = []string{"NAME", "STATE", "PID", "FOR", "WANTED", "DEATHS/MIN", "LAST EXIT", "DESIRED", "GATEWAY"}

// Columns of the table.
const (
	stateColumn = 1
	spanColumn  = 3
)

// cells returns s's row of the table.
func (s *State) cells() []string {
	return []string{cli.Printable(s.Name), s.Word, s.pid(), s.span(), s.wanted(), strconv.Itoa(s.Deaths), s.lastExit(),
		cli.Printable(cmp.Or(s.Desired, "-")), s.says()}
}

// Table prints states for people, and below the table what is wrong with them. It prints the
// titles even if there are no states.
func (r *Reader) Table(out io.Writer, states []State, colours bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells []string, colour string) {
		if colours {
			cells[stateColumn] = colour + cells[stateColumn] + plain
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	line(slices.Clone(titles), plain)
	for i := range states {
		line(states[i].cells(), states[i].colour())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i := range states {
		for _, note := range r.notes(&states[i]) {
			fmt.Fprintln(out, note)
		}
	}
	return nil
}

// notes returns the lines below the table about s: what is wrong with it, and which process runs it.
func (r *Reader) notes(s *State) (lines []string) {
	if r.opened == nil {
		return nil
	}
	if s.Trouble != "" {
		lines = append(lines, fmt.Sprintf("%s: %s; see %s", s.Name, s.Trouble, r.opened.LogFile(s.Name)))
	}
	for _, complaint := range s.complaints() {
		lines = append(lines, s.Name+": "+complaint)
	}
	switch {
	case s.Holder != nil:
		lines = append(lines, fmt.Sprintf("%s: standing by; it runs elsewhere: %s", s.Name, s.Holder))
	case s.Standby:
		lines = append(lines, fmt.Sprintf("%s: standing by; it leaves its fence to others for a while", s.Name))
	}
	for i := range lines {
		lines[i] = cli.Printable(lines[i]) // includes the path of the home, and a directory's name
	}
	return lines
}

func (s *State) colour() string {
	switch {
	case s.Lacks:
		return yellow
	case s.Works() && !s.Paused:
		return green
	case s.WantedUp, !s.Supervised:
		return red
	}
	return yellow
}

func (s *State) pid() string {
	if !s.Up {
		return "-"
	}
	return strconv.Itoa(s.PID)
}

func (s *State) span() string {
	if !s.Supervised || s.Since.IsZero() {
		return "-"
	}
	return span(s.Seconds)
}

func (s *State) wanted() string {
	switch {
	case !s.Supervised:
		return "-"
	case s.WantedUp:
		return "up"
	}
	return "down"
}

// span formats seconds in the two largest units that are not zero.
func span(seconds uint64) string {
	const day = 24 * time.Hour
	if seconds > uint64(10000*day/time.Second) {
		return "?" // the clock was set back since
	}
	d := time.Duration(seconds) * time.Second
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", seconds)
}

// HolderObject returns the JSON form of a fence's holder.
func HolderObject(h fence.Holder) any {
	return struct {
		Host  *string `json:"host"`
		Since *string `json:"since"`
	}{cli.Given(h.Host, h.Host != ""), cli.Given(h.Since.UTC().Format(time.RFC3339), !h.Since.IsZero())}
}

// Object returns what --json prints of s, which must have been read with Depth Object. What
// does not apply is null.
func (s *State) Object() any {
	dated := !s.Since.IsZero()
	var holder any
	if s.Holder != nil {
		holder = HolderObject(*s.Holder)
	}
	return struct {
		Name       string  `json:"name"`
		Supervised bool    `json:"supervised"`
		Up         bool    `json:"up"`
		WantedUp   bool    `json:"wantedup"`
		NormallyUp bool    `json:"normallyup"`
		Ready      bool    `json:"ready"`
		Paused     bool    `json:"paused"`
		PID        *int    `json:"pid"`
		ExitCode   *int    `json:"exitcode"`
		Signal     *string `json:"signal"`
		Since      *string `json:"since"`
		Seconds    *uint64 `json:"seconds"`
		Deaths     int     `json:"deaths"`
		NextStart  *int    `json:"next_start_in"`
		Desired    *string `json:"desired_state"`
		ServedBy   *string `json:"served_by"`
		Standby    bool    `json:"standby"`
		Holder     any     `json:"holder"`
		Says       any     `json:"gateway"`
	}{
		s.Name, s.Supervised, s.Up, s.WantedUp, s.NormallyUp, s.Ready, s.Paused,
		cli.Given(s.PID, s.Up), cli.Given(s.ExitCode, s.ExitCode >= 0), cli.Given(s.Signal, s.Signal != ""),
		cli.Given(s.Since.Format(time.RFC3339), dated), cli.Given(s.Seconds, dated), s.Deaths,
		cli.Given(s.NextStart, s.NextStart > 0), cli.Given(s.Desired, s.Desired != ""),
		cli.Given(profile.Default, s.Served), s.Standby, holder, s.Says.object(),
	}
}

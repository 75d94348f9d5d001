package command

import (
	"cmp"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/script"
)

// Colours of the state column. They are of one length, so that tabwriter,
// which counts them as text, still aligns what follows.
const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	plain  = "\x1b[39m"
)

// table is the default output, for people. There is a line of titles also
// where nothing is below it.
func (q *query) table(rows []row) error {
	paint := func(_, text string) string { return text }
	if q.Fancy() {
		paint = func(colour, text string) string { return colour + text + plain }
	}
	w := tabwriter.NewWriter(q.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "NAME\t%s\tPID\tFOR\tWANTED\tDEATHS/MIN\tLAST EXIT\tDESIRED\n", paint(plain, "STATE"))
	for i := range rows {
		r := &rows[i]
		colour := yellow
		switch {
		case r.served, r.isUp() && !r.IsPaused():
			colour = green
		case r.Supervised && r.WantedUp, !r.Supervised:
			colour = red
		}
		pid, since := "-", "-"
		if r.isUp() {
			pid = strconv.Itoa(r.PID)
		}
		if r.Supervised && r.Dated() {
			since = span(r.Seconds())
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", cli.Printable(r.name), paint(colour, r.state()), pid, since, r.wanted(), r.deaths, r.lastExit(), cli.Printable(cmp.Or(r.desired, "-")))
	}
	if err := w.Flush(); err != nil || q.home == nil {
		return err
	}
	for i := range rows {
		if why := rows[i].trouble(); why != "" {
			fmt.Fprintf(q.Out, "%s: %s; see %s\n", rows[i].name, why, q.home.LogFile(rows[i].name))
		}
	}
	return nil
}

// maxReason is how many bytes of a gateway's own words are shown.
const maxReason = 200

// trouble says what is wrong with r, "" for nothing: that it is not up although it
// is to be, or that it dies again and again.
func (r *row) trouble() string {
	if !r.profile || !r.Supervised || r.served || r.desired == profile.Stopped && !r.WantedUp {
		return ""
	}
	code := r.ExitCode()
	if n := r.Signal(); n >= 0 {
		code = 128 + n
	}
	failed := r.lived && code > 0 && (script.IsCrash(code) || code == script.ExitConfig)
	why := ""
	switch {
	case r.isUp() && r.deaths > 1: // one may be a stop that it answered with an exit code of its own
		why = "it is restarted again and again"
	case r.isUp(), !r.WantedUp && r.desired != profile.Running && !failed:
		return ""
	case !r.lived:
		why = "it was not started"
	case code == script.ExitConfig:
		why = r.lastExit() + ", it refused its configuration and is not restarted"
		if reason := cli.Excerpt(r.reason, maxReason); reason != "" {
			why += ": " + reason
		}
	case r.next > 0:
		why = fmt.Sprintf("%s, backing off, next start in %d s", r.lastExit(), r.next)
	case r.WantedUp && code == script.ExitRestart:
		why = r.lastExit() + ", it asked to be restarted"
	case r.WantedUp:
		why = r.lastExit() + ", it is being restarted"
	default:
		why = r.lastExit() + ", it is not restarted"
	}
	if r.deaths > 1 {
		why += fmt.Sprintf(", it died %d times in the last minute", r.deaths)
	}
	return why
}

// span writes seconds in the two largest units that say something.
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

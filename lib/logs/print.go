//go:build linux

package logs

import (
	"bufio"
	"strconv"

	"hermes-s6/lib/cli"
)

// A Printer says how lines are printed: unchanged, unless one of these is set.
type Printer struct {
	Out       *bufio.Writer
	Names     bool // print the profile's name before each
	Colours   bool // print the name in a colour
	Printable bool // replace what moves, hides or reorders other characters on a terminal
	JSON      bool
}

// print prints the head of l, the n-th of the logs. It returns false if it cannot.
func (p *Printer) print(l *Log, n int) bool {
	head, end := "", "\n"
	switch {
	case p.JSON:
		s, size := stampOf(l.buf)
		l.buf = l.buf[size:]
		// The name needs no quoting, because it was checked.
		head, end = `{"name":"`+l.Name+`","time":`+s.json()+`,"line":"`, "\"}\n"
	case p.Names && p.Colours:
		head = "\x1b[" + strconv.Itoa(31+n%6) + "m" + l.Name + "\x1b[39m: "
	case p.Names:
		head = l.Name + ": "
	}
	p.Out.WriteString(head)
	l.line(p.part)
	_, err := p.Out.WriteString(end) // for all that was written to Out
	return err == nil
}

// part prints a part of a line.
func (p *Printer) part(b []byte) {
	switch {
	case p.JSON:
		text, _ := cli.JSONText(string(b)) // never fails for a string
		p.Out.WriteString(text[1 : len(text)-1])
	case p.Printable:
		p.Out.WriteString(cli.Printable(string(b)))
	default:
		p.Out.Write(b)
	}
}

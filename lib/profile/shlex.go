package profile

import (
	"strings"

	"github.com/google/shlex"
)

// split splits command into words as sh does. Package shlex differs in two things,
// which are written for it in its own way first: between double quotes it has a
// backslash escape whatever follows, where in sh one before anything but $ ` " \ and
// a newline stands for itself; and a backslash before a newline, which in sh joins
// lines, is a newline there.
//
// Python's shlex.split agrees with sh but for these: it keeps the backslash before $
// and ` between double quotes, takes \ and a newline for a newline, and has comments
// only when it is told to. Both of these, and we, take a carriage return for a space.
func split(command string) ([]string, error) {
	const outside = 0 // else the quote that we are in, or # in a comment
	var out strings.Builder
	in, fresh := byte(outside), true // fresh: a word can begin here
	for i := 0; i < len(command); i++ {
		c := command[i]
		if c == '\\' && (in == outside || in == '"') && i+1 < len(command) {
			i++
			next := command[i]
			if next == '\n' {
				continue
			}
			if in == '"' && strings.IndexByte("$`\"\\", next) < 0 {
				out.WriteByte('\\')
			}
			out.WriteByte('\\')
			out.WriteByte(next)
			fresh = false
			continue
		}
		switch {
		case in == outside && (c == '\'' || c == '"' || c == '#' && fresh):
			in = c
		case in == c && c != '#', in == '#' && c == '\n':
			in = outside
		}
		fresh = in == outside && strings.IndexByte(" \t\r\n", c) >= 0
		out.WriteByte(c)
	}
	return shlex.Split(out.String())
}

package profile

import (
	"strings"

	"github.com/google/shlex"
)

// split splits command into words as sh does. Package shlex differs in two points, so the
// command is first rewritten for it. Between double quotes shlex treats a backslash as an
// escape before any character, while in sh a backslash before anything but $ ` " \ and a
// newline stands for itself. A backslash before a newline, which joins lines in sh, is a
// newline in shlex.
//
// Python's shlex.split agrees with sh except for this: it keeps the backslash before $ and `
// between double quotes, it turns \ and a newline into a newline, and it supports comments
// only on request. Both of these, and split, treat a carriage return as a space.
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

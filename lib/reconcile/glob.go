//go:build linux

package reconcile

import (
	"path"
	"strings"
)

// Patterns are those of sh (POSIX, "Pattern Matching Notation"), in ASCII. Package path
// supports all of that except the content of brackets: for "none of these" it accepts only ^,
// a shell only !; a shell takes a leading ] and a - at either end literally, and has character
// classes. So bracket expressions are rewritten for package path, with each character escaped.

// classes are the character classes, as path.Match has them between brackets.
var classes = map[string]string{
	"alnum": `0-9A-Za-z`, "alpha": `A-Za-z`, "blank": "\t ", "cntrl": "\x00-\x1f\x7f", "digit": `0-9`, "graph": `!-~`,
	"lower": `a-z`, "print": ` -~`, "punct": "!-/:-@\\[-`{-~", "space": "\t-\r ", "upper": `A-Z`, "xdigit": `0-9A-Fa-f`,
}

// translate returns the pattern of package path that matches what pattern matches in a shell.
// An unclosed bracket or a trailing backslash is an error. A shell would take it literally,
// but no profile has such a name.
func translate(pattern string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(pattern); i++ {
		out.WriteByte(pattern[i])
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			out.WriteByte(pattern[i])
		case pattern[i] == '[':
			n, err := bracket(&out, pattern[i+1:])
			if err != nil {
				return "", err
			}
			i += n
		}
	}
	_, err := path.Match(out.String(), "")
	return out.String(), err
}

// bracket writes what follows a [, including its ], and returns the length that it has read.
func bracket(out *strings.Builder, s string) (int, error) {
	i := 0
	if strings.HasPrefix(s, "!") {
		out.WriteByte('^')
		i++
	}
	for first := i; i < len(s) && (s[i] != ']' || i == first); {
		if strings.HasPrefix(s[i:], "[:") {
			name, _, _ := strings.Cut(s[i+2:], ":]")
			if classes[name] == "" {
				return 0, path.ErrBadPattern
			}
			out.WriteString(classes[name])
			i += len("[::]") + len(name)
			continue
		}
		// [.x.] and [=x=] are for languages whose letters have several forms.
		if strings.HasPrefix(s[i:], "[.") || strings.HasPrefix(s[i:], "[=") {
			return 0, path.ErrBadPattern
		}
		i += member(out, s[i:])
		if strings.HasPrefix(s[i:], "-") && len(s) > i+1 && s[i+1] != ']' {
			out.WriteByte('-')
			i += 1 + member(out, s[i+1:])
		}
	}
	if i >= len(s) {
		return 0, path.ErrBadPattern
	}
	out.WriteByte(']')
	return i + 1, nil
}

// member writes the first character of s, and returns the length that it has read.
func member(out *strings.Builder, s string) int {
	n := 1
	if s[0] == '\\' && len(s) > 1 {
		n = 2
	}
	out.WriteByte('\\')
	out.WriteByte(s[n-1])
	return n
}

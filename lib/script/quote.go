//go:build linux

package script

import "strings"

// shWord quotes s as one word of sh, as Python's shlex.quote does.
func shWord(s string) string {
	if s != "" && safe(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
}

// safe reports whether no byte of s is special to sh or execlineb.
func safe(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte("@%+=:,./-_", c) >= 0) {
			return false
		}
	}
	return true
}

// elWord quotes s as one word of execlineb -P. Between double quotes only the double quote and
// the backslash are special (execlineb's manual page, "Syntax of scripts"). For substitution
// see freshKey.
func elWord(s string) string {
	if s != "" && safe(s) {
		return s
	}
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
}

// freshKey returns a substitution key, made from base, that none of words contains. A
// substitution program (such as importas) replaces its key in all of the rest of the command
// line, and the words that we were given must get through unchanged.
func freshKey(base string, words []string) string {
	for i := 0; i < len(words); {
		if strings.Contains(words[i], base) {
			base += "_"
			i = 0
		} else {
			i++
		}
	}
	return base
}

func each(words []string, quote func(string) string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

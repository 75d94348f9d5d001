//go:build linux

package reconcile

import (
	"bytes"
	"os/exec"
	"path"
	"strings"
	"testing"

	"hermes-s6/lib/must"
)

// TestPatterns compares patterns with what sh itself matches in a case command.
func TestPatterns(t *testing.T) {
	patterns := []string{
		"*", "?", "a*", "*a", "a?c", "a**c", "", "abc", "[abc]", "[!abc]", "[!t]*", "[a-c]x", "[!a-c]", "[a-cx-z]",
		"[]abc]", "[]]", "[!]]", "[!]a]", "[a-]", "[-a]", "[!-a]", "[!a-]", "[--a]", "[a-c-e]", "[c-a]", "[a!]", "[a^]", "[^a]", "[^]", "[!^]", "[^-a]",
		`\a`, `\*`, `\[a]`, `[\]]`, `[\]a]`, `[a\-c]`, `[!\!]`, `[\!a]`, `[\^a]`, `[\\]`, `a\\b`, "[[a]", "[[]", "[a[]",
		"[[:digit:]]", "[[:digit:]_-]*", "[![:digit:]]", "[[:alpha:][:digit:]]", "[[:upper:]]", "[[:punct:]]", "[[:alnum:]]*", "[[:xdigit:]]",
		"[[:space:]]", "[[:graph:]]", "[[:print:]]", "[[:blank:]]", "[[:cntrl:]]", "[[:lower:]]", "x[!0-9][0-9]", "-*", "[a-]*[!-]", "!a", "^a", "[!!]", "a]", "]",
	}
	names := []string{"", "abc", "axc", "ac", "tx", "bx", "a-b_c", "x_9", "!a", "^a", "coder", "a\\b", "[a]", "a]", "\\", "]", "\t"}
	for c := ' '; c < 0x7f; c++ {
		names = append(names, string(c))
	}
	// One line per name for each pattern: 0 if it does not match.
	const script = `p=$1; shift
for n do case $n in $p) echo 1 ;; *) echo 0 ;; esac; done`
	for _, pattern := range patterns {
		cmd := exec.Command("sh", append([]string{"-c", script, "sh", pattern}, names...)...)
		cmd.Env = []string{"LC_ALL=C"}
		out, err := cmd.Output()
		must.Do(t, err)
		said := bytes.Fields(out)
		translated, err := translate(pattern)
		if err != nil {
			t.Errorf("%q: %v", pattern, err)
			continue
		}
		for i, name := range names {
			ok, err := path.Match(translated, name)
			if want := string(said[i]) == "1"; (ok != want || err != nil) && name != "/" {
				t.Errorf("%q, for package path %q, and %q: %v, %v; sh says %v", pattern, translated, name, ok, err, want)
			}
		}
	}
	for _, pattern := range []string{"[", "a[", "[a", "[!", "[]", "[!]", "a\\", "[\\]", "[[:foo:]]", "[[:x]", "[a\\]", "[[:alpha:]", "[[.a.]]", "[[=a=]]", strings.Repeat("[", 1000)} {
		if translated, err := translate(pattern); err == nil {
			t.Errorf("%q is valid: %q", pattern, translated)
		}
	}
}

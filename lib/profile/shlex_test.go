package profile

import (
	"encoding/json"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"hermes-s6/lib/must"
)

// TestSplit compares split with sh, and with Python's shlex.split where that agrees with sh.
// For the other commands, python says what shlex.split returns.
func TestSplit(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	commands := []string{
		`a`, `a b`, "  a\t b ", `a "b c" 'd e'`, `a"b"'c'd`, `""`, `a "" ''`, `a""b`, `"" a`, `''""`, `"a"#b`, `""#a`, `a\#b`, `\#a`, `"#a"`, `a#b`, `a# b`,
		`"a\d+b"`, `"a\\d"`, `"a\"b"`, `"a\'b"`, `"\a\\\"\b"`, `"\\\\"`, `"\ "`, `"\n"`, `"\#"`, `"é\é"`, `'a\d'`, `'a\'`, `'a\\b'`, `'"'`, `"'"`, `a\ b`, `a\\b`, `\"a\"`, `\'`,
		`\a\b`, `a\	b`, `sed "s/\(a\)\.b/\1/"`, `grep -E "^\s*\[x\]$"`, `a'b c'"d e"f\ g`, "'a\nb'", "\"a\nb\"", `{profile} "{profile}"`, `é ü`, `a=b --c=" d"`, `"a b`, `'a`, `a "b\"`, `"a\`, `"\d`,
	}
	python := map[string][]string{
		`"\$a"`: {`\$a`}, "\"\\`a\"": {"\\`a"}, `a\`: nil, `\`: nil, // for a backslash at the end sh has no answer: it waits for more
		"a\\\nb": {"a\nb"}, "\"a\\\nb\"": {"a\\\nb"}, "a \\\n b": {"a", "\n", "b"}, "a \\\n#b": {"a", "\n#b"}, "a\\\n#b": {"a\n#b"},
		`#a`: {"#a"}, `a #b`: {"a", "#b"}, `a #"b`: nil, "a #b\\\n'c'": {"a", "#b\nc"}, "'a' #'": nil,
	}
	for command := range python {
		commands = append(commands, command)
	}
	lines := []string{"a\nb", "a\r\nb\r", "\n", "a\n\n'b\n'"}
	bySh, byPython := splitBySh(t, commands), splitByPython(t, append(slices.Clone(commands), lines...))
	for _, command := range commands {
		got, err := split(command)
		if want, exception := python[command]; !exception || command[len(command)-1] != '\\' {
			if sh := bySh[command]; !same(got, err, sh) && command != "a #b\\\n'c'" { // two commands to sh
				t.Errorf("%q: %q, %v; sh has %q", command, got, err, sh)
			}
			if py := byPython[command]; !exception && !same(got, err, py) || exception && !slices.Equal(want, py) {
				t.Errorf("%q: %q, %v; Python has %q", command, got, err, py)
			}
		} else if err == nil {
			t.Errorf("%q: %q", command, got)
		}
	}
	// In a command, newlines are whitespace, as in Python, and do not end it.
	for _, command := range lines {
		if got, err := split(command); !same(got, err, byPython[command]) {
			t.Errorf("%q: %q, %v", command, got, err)
		}
	}
}

func same(got []string, err error, want []string) bool {
	return (err != nil) == (want == nil) && (err != nil || slices.Equal(got, want))
}

// splitBySh returns the words into which sh splits each command, nil if sh cannot.
func splitBySh(t *testing.T, commands []string) map[string][]string {
	t.Helper()
	// Each command gets its own shell, because an eval that cannot be parsed ends the shell.
	const script = `for c do (eval "set -- $c
"; for w do printf '%s\001' "$w"; done; printf =) 2>/dev/null; printf '\002'; done`
	out, err := exec.Command("sh", append([]string{"-c", script, "sh"}, commands...)...).Output()
	must.Do(t, err)
	all := map[string][]string{}
	for i, answer := range strings.Split(string(out), "\x02")[:len(commands)] {
		if words, ok := strings.CutSuffix(answer, "="); ok {
			all[commands[i]] = strings.SplitAfter(words, "\x01")
			all[commands[i]] = all[commands[i]][:strings.Count(words, "\x01")]
		}
		for k, w := range all[commands[i]] {
			all[commands[i]][k] = strings.TrimSuffix(w, "\x01")
		}
	}
	return all
}

// splitByPython is splitBySh for Python's shlex.split.
func splitByPython(t *testing.T, commands []string) (all map[string][]string) {
	t.Helper()
	const script = `
import json, shlex, sys
def split(s):
    try:
        return shlex.split(s)
    except ValueError:
        return None
print(json.dumps({s: split(s) for s in sys.argv[1:]}))`
	out, err := exec.Command("python3", append([]string{"-c", script}, commands...)...).Output()
	if err == nil {
		err = json.Unmarshal(out, &all)
	}
	must.Do(t, err)
	return all
}

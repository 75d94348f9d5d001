//go:build linux

package test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hermes-s6/lib/s6/s6test"
)

// hostile returns values that a careless script would change, run or fail on.
func hostile() []string {
	var every []byte
	for b := byte(1); b != 0; b++ {
		every = append(every, b)
	}
	return []string{
		"", " ", "  two  blanks ", "-", "-n", "--", "--flag=x", "~", "*", "?[a]", "!", "#x", "a#b", ";", "&", "|", "<>", "(", ")", "{", "}", "{ }",
		"'", "''", `"`, `""`, `\`, `\\`, `\\\`, "a'b", `a"b`, `a\nb`, "a\nb", "\n", "\n\n", "a\rb", "\t", "trailing\n", "trailing\\",
		"$", "$$", "$0", "$1", "${1}", "$@", "$HOME", "${HOME}", `\$HOME`, `\${HOME}`, `\\${HOME}`, "$(id)", "`id`", "$((1+1))",
		"home", "$home", "${home}", `\${home}`, "${home_}", "$path", "${path}", "uid", "${uid}",
		"%", "%s%d%n", "%%", "=", "a=b", "\x01\x02\x7f", "é", "日本語", "\xc3", "\xff\xfe",
		"'\"'\"'", "'; touch /tmp/owned; '", "\"; touch /tmp/owned; \"", "EOF", "\nEOF\n",
		strings.Repeat("x", 100_000), strings.Repeat("'", 20_000), strings.Repeat(`"\$`, 20_000),
		string(every),
	}
}

// TestHostileValues registers a gateway with hostile values in its environment and on its
// command line, has a real s6, sh and execlineb run it, and compares what it received with
// what was asked for, byte for byte.
func TestHostileValues(t *testing.T) {
	env := map[string]string{}
	var args []string
	for i, v := range hostile() {
		env["V"+string(rune('A'+i/26))+string(rune('A'+i%26))] = v
		// The command is text, because google/shlex reads runes. It holds 1 MB at most, so the
		// large values are in the environment only.
		if strings.ToValidUTF8(v, "") == v && len(v) < 50_000 {
			args = append(args, v)
		}
	}
	env["LONG"] = strings.Repeat("y", 100_000)
	for _, dialect := range []string{"sh", "execline"} {
		t.Run(dialect, func(t *testing.T) {
			got := runGateway(t, dialect, env, args)
			if want := strings.Join(args, "\x00") + "\x00"; string(got.args) != want {
				t.Errorf("arguments:\n got %.2000q\nwant %.2000q", got.args, want)
			}
			for _, key := range slices.Sorted(maps.Keys(env)) {
				entry := []byte(key + "=" + env[key] + "\x00")
				if !bytes.HasPrefix(got.env, entry) && !bytes.Contains(got.env, append([]byte{0}, entry...)) {
					t.Errorf("environment lacks %.200q", entry)
				}
			}
		})
	}
}

type received struct{ args, env []byte }

// runGateway registers a stand-in and returns what it received.
func runGateway(t *testing.T, dialect string, env map[string]string, args []string) received {
	p, _ := newTree(t)
	register := []string{"--dialect", dialect}
	for key, value := range env {
		register = append(register, "--env", key+"="+value)
	}
	command := "hermes"
	for _, a := range args {
		command += " '" + strings.ReplaceAll(a, "'", `'"'"'`) + "'"
	}
	// execve does not accept a command of more than 128 KiB in one argument either.
	if len(command) > 120_000 {
		t.Fatalf("the command is too long: %d", len(command))
	}
	p.run(t, 0, "hermes-svc-register", append(register, "--command", command, "coder")...)
	var r received
	s6test.Await(t, func() (err error) {
		if _, err = os.Stat(filepath.Join(p.home, "dump.stdin")); err != nil {
			return err
		}
		r.args, err = os.ReadFile(filepath.Join(p.home, "dump.args"))
		if err == nil {
			r.env, err = os.ReadFile(filepath.Join(p.home, "dump.env"))
		}
		return err
	})
	p.run(t, 0, "hermes-svc-unregister", "coder")
	return r
}

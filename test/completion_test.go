//go:build linux

package test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hermes-s6/lib/manager"
	"hermes-s6/lib/must"
	"hermes-s6/lib/s6"
)

// The completions are tested as installed, for programs that are links to hermes-s6. The slots
// here are bare directories: completions offer names only.

// A completer completes in one shell, with the script of its name below testdata/completions.
type completer struct {
	shell, share string
	env          []string
}

// eachShell runs f with every shell.
func eachShell(t *testing.T, f func(*testing.T, *completer)) {
	needSource(t)
	dir := t.TempDir()
	if out, err := exec.Command("make", "-s", "install-share", "DESTDIR="+dir).CombinedOutput(); err != nil {
		t.Fatalf("make install-share: %v: %s", err, out)
	}
	bin := static(t)
	for _, d := range []string{"bin", "scan/gateway-coder", "scan/gateway-trader", "scan/gateway-;id", "home/profiles/coder", "home/profiles/writer", "home/profiles/$(id)", "home/profiles/empty", "home/logs/gateways/coder", "home/logs/gateways/gone"} {
		must.Do(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
		if strings.HasPrefix(d, "home/profiles/") && d != "home/profiles/empty" {
			must.Do(t, os.WriteFile(filepath.Join(dir, d, "SOUL.md"), nil, 0o644))
		}
	}
	for _, p := range programs(t) {
		must.Do(t, os.Symlink(filepath.Join(bin, "hermes-s6"), filepath.Join(dir, "bin", p)))
	}
	env := append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "HOME="+dir, "TERM=dumb",
		"HERMES_HOME="+filepath.Join(dir, "home"), "S6_PROFILE_GATEWAY_SCANDIR="+filepath.Join(dir, "scan"), "HERMES_SERVICE_MANAGER=s6")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				leaveOut(t, "there is no %s", shell)
			}
			t.Parallel()
			f(t, &completer{shell, filepath.Join(dir, "usr/share"), env})
		})
	}
}

// expect has lines completed. It wants whole words, but after a = only what follows it.
func (c *completer) expect(t *testing.T, lines map[string][]string) {
	t.Helper()
	order := slices.Sorted(maps.Keys(lines))
	cmd := exec.Command(filepath.Join("testdata/completions", c.shell), append([]string{c.share}, order...)...)
	cmd.Env = c.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	answers := strings.Split(string(out), "END\n")
	if len(answers) != len(lines)+1 {
		t.Fatalf("%d answers to %d lines: %s", len(answers)-1, len(lines), out)
	}
	for i, line := range order {
		var found []string
		before, _, _ := strings.Cut(line[strings.LastIndex(line, " ")+1:], "=")
		for word := range strings.Lines(answers[i]) {
			word, _, _ = strings.Cut(strings.TrimSuffix(word, "\n"), "\t")
			if word = strings.TrimPrefix(word, before+"="); word != "" {
				found = append(found, word)
			}
		}
		slices.Sort(found)
		want := slices.Sorted(slices.Values(lines[line]))
		if found = slices.Compact(found); !slices.Equal(found, want) {
			t.Errorf("%q: offered %q, want %q", line, found, want)
		}
	}
}

func TestCompletions(t *testing.T) {
	var kinds []string
	for _, k := range manager.Kinds {
		kinds = append(kinds, string(k))
	}
	var fields, more []string
	for _, f := range append([]string{"name"}, s6.Fields...) {
		fields = append(fields, f)
		more = append(more, "pid,"+f)
	}
	eachShell(t, func(t *testing.T, c *completer) {
		c.expect(t, map[string][]string{
			"hermes-svstat ":                        {"coder", "trader"},
			"hermes-svstat --json cod":              {"coder"},
			"hermes-svstat coder ":                  {"coder", "trader"},
			"hermes-svc-unregister ":                {"coder", "trader"},
			"hermes-svc-register ":                  {"coder", "default", "writer"},
			"hermes-svc-register --port 1 --wait w": {"writer"},
			"hermes-svc-register -- w":              {"writer"},
			"hermes-logs ":                          {"coder", "gone"},
			"hermes-logs -n 10 coder g":             {"gone"},
			"hermes-fence --holder ":                {"coder", "default", "writer"},
			"hermes-fence coder ":                   nil,
			"hermes-svc ":                           {"restart", "start", "stop"},
			"hermes-svc st":                         {"start", "stop"},
			"hermes-svc start ":                     {"coder", "trader"},
			"hermes-svc stop --wait t":              {"trader"},
			"hermes-svstat -o ":                     fields,
			"hermes-svstat -o pid,":                 more,
			"hermes-detect --is ":                   kinds,
			"hermes-detect --is=":                   kinds,
			"hermes-svc-register --dialect ":        {"execline", "sh"},
			"hermes-svc-register --user roo":        {"root"},
			"hermes-s6 hermes-svst":                 {"hermes-svstat"},
			"hermes-s6 hermes-svc start c":          {"coder"},
			// These look elsewhere, as the command itself would.
			"hermes-svstat --scandir /nonexistent cod": nil,
			"hermes-svc-register --home=/nonexistent ": {"default"},
		})
	})
}

// TestCompletionRunsNothing: a completion runs nothing but our program on PATH. Without that
// it is silent.
func TestCompletionRunsNothing(t *testing.T) {
	needSource(t)
	dir := t.TempDir()
	trap := filepath.Join(dir, "hermes-svstat")
	must.Do(t, os.WriteFile(trap, []byte("#!/bin/sh\ntouch ran\n"), 0o755))
	helper, err := filepath.Abs("completions/complete")
	must.Do(t, err)
	for _, program := range []string{"./hermes-svstat", trap, "hermes-svstat"} {
		cmd := exec.Command(helper, program, "--json", "")
		cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin"}
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v: %q", program, err, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("a program was run that is not on PATH")
	}
}

// TestCompletionOptions: the options that are offered are those of --help, in each shell.
func TestCompletionOptions(t *testing.T) {
	lines := map[string][]string{}
	for _, line := range []string{"hermes-detect", "hermes-fence", "hermes-logs", "hermes-reconcile", "hermes-registrar", "hermes-registrar register", "hermes-registrar unregister",
		"hermes-s6", "hermes-s6 hermes-svstat", "hermes-svc start", "hermes-svc stop", "hermes-svc-register", "hermes-svc-unregister", "hermes-svstat"} {
		words := strings.Fields(line)
		for names := range helpOf(t, words[0], words[1:]...).options {
			lines[line+" -"] = append(lines[line+" -"], strings.Fields(names)...)
		}
	}
	eachShell(t, func(t *testing.T, c *completer) { c.expect(t, lines) })
}

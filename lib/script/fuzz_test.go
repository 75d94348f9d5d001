//go:build linux

package script

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hermes-s6/lib/must"
	"hermes-s6/lib/profile"
)

// readers returns the programs that read scripts in a dialect: s6's execlineb, and the
// installed ones of the shells that are sh on some system.
func readers(f *testing.F, paths Paths) map[string][]string {
	found := map[string][]string{"sh": {sh}, "execlineb": {paths.Execlineb, "-P"}}
	is, err := filepath.EvalSymlinks(sh)
	must.Do(f, err)
	for _, shell := range [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "sh"}} {
		if path, err := exec.LookPath(shell[0]); err == nil && filepath.Base(is) != shell[0] {
			found[shell[0]] = append([]string{path}, shell[1:]...)
		}
	}
	return found
}

func fuzzPaths(f *testing.F) Paths {
	paths, err := FindPaths("", profile.Execline)
	if err != nil {
		f.Fatalf("%v: run `make deps`", err)
	}
	return paths
}

// nasty are words with a special meaning to a shell, to execlineb, or to both.
var nasty = []string{
	"", " ", "a b", "'", `"`, `\`, `\\`, `a\`, `'"'"'`, "\n", "a\n#b", "#", "~", "*", "$", "$x", "${x}", `\${x}`, `\\${key}`, "$key_", "${key", "key", "$(id)", "`id`",
	"{", "}", "{}", "!", "-", "-n", "--", "%s", `\0`, `\x41`, "\x01", "\x7f", "\x80", "\x81", "\x88", "\xff", "é", "\u2028", "\r", "\t", "=", "home", "${home}", "$path", "\x83\x5c", "\xa5'",
}

// medley returns words composed of nasty ones; seed determines which.
func medley(seed uint64) []string {
	random := rand.New(rand.NewPCG(seed, 0))
	words := make([]string, 100)
	for i := range words {
		for range random.IntN(6) {
			if random.IntN(4) == 0 {
				words[i] += string([]byte{byte(1 + random.IntN(255))})
			} else {
				words[i] += nasty[random.IntN(len(nasty))]
			}
		}
	}
	return words
}

// FuzzWords has each reader print words that were written for it. It tests many words at a
// time, because a process costs more than a word. The coverage of our code says little about
// what a shell does with a word.
func FuzzWords(f *testing.F) {
	paths := fuzzPaths(f)
	read := readers(f, paths)
	script := filepath.Join(f.TempDir(), "script")
	f.Add(strings.Join(nasty, "\x00"), "key", uint64(0))
	for i, w := range nasty {
		f.Add(w, w, uint64(i))
	}
	f.Fuzz(func(t *testing.T, text, value string, seed uint64) {
		words := append(strings.Split(text, "\x00"), medley(seed)...)
		if len(text) > 100_000 || len(value) > 100_000 || strings.Contains(value, "\x00") {
			return
		}
		// A substitution must not affect words that were there before it.
		key := freshKey("key", words)
		want := strings.Join(append(words[:len(words):len(words)], value), "\x00") + "\x00"
		for name, command := range read {
			text := "exec printf " + each(append([]string{`%s\0`}, words...), shWord) + " " + shWord(value) + "\n"
			if name == "execlineb" {
				text = paths.Execline + "/define " + key + " " + elWord(value) + "\n" +
					"printf " + each(append([]string{`%s\0`}, words...), elWord) + " ${" + key + "}\n"
			}
			must.Do(t, os.WriteFile(script, []byte(text), 0o644))
			got, err := exec.Command(command[0], append(command[1:], script)...).Output()
			if err != nil || string(got) != want {
				t.Errorf("%s made %q of %q, %v: %q", name, got, want, err, text)
			}
		}
	})
}

// shellsOwn are variables that some shell changes by itself, whatever it is told.
var shellsOwn = regexp.MustCompile(`^(BASH.*|COMP_.*|DIRSTACK|EPOCH.*|FUNCNAME|GROUPS|HISTCMD|LINENO|OLDPWD|PWD|PIPESTATUS|S?RANDOM|SECONDS|SHLVL|_)$`)

// FuzzRun runs the run script of a gateway with any home, environment and command that pass,
// and compares what the gateway gets.
func FuzzRun(f *testing.F) {
	paths := fuzzPaths(f)
	read := readers(f, paths)
	dir := f.TempDir()
	for i, w := range nasty {
		f.Add(w, "KEY", w, nasty[len(nasty)-1-i]+"\x00"+w)
	}
	for _, key := range []string{"IFS", "PATH", "HOME", "ENV", "PS4", "CDPATH", "UID", "OPTIND", "LINENO", "_", "BASH_ENV", "BASH_VERSINFO", "POSIXLY_CORRECT", "home", "path", "script", "v"} {
		f.Add("home", key, "12 x/*", "a b\x00${home}")
	}
	f.Fuzz(func(t *testing.T, home, key, value, args string) {
		// The home must be a directory: the gateway gets its path, and starts in it.
		if key == "HERMES_HOME" || strings.HasPrefix(key, "LD_") || strings.ContainsAny(home, "/\x00") || len(home) > 200 {
			return
		}
		home = filepath.Join(dir, "h"+home)
		must.Do(t, os.Mkdir(home, 0o755))
		defer os.RemoveAll(home)
		const gateway = `/bin/cat /proc/$$/environ /proc/$$/cmdline >got; :`
		words := append([]string{"/bin/sh", "-c", gateway}, strings.Split(strings.ToValidUTF8(args, "?"), "\x00")...)
		settings := profile.Settings{Env: map[string]profile.Bytes{key: profile.Bytes(value)}, Command: each(words, shWord)}
		if settings.Check() != nil {
			return
		}
		for i, w := range words {
			words[i] = strings.ReplaceAll(w, "{profile}", "coder")
		}
		common := &Common{Account: profile.Account{Name: "root", Home: home}, Home: home, Paths: paths}
		for name, command := range read {
			settings.Dialect = profile.Sh
			if name == "execlineb" {
				settings.Dialect = profile.Execline
			}
			script := filepath.Join(home, RunFile)
			for _, file := range Render(&Definition{Common: common, Profile: "coder", Port: 9570, Settings: &settings}) {
				if file.Name != RunFile {
					continue
				}
				must.Do(t, os.WriteFile(script, []byte(file.Data), 0o644))
			}
			cmd := exec.Command(command[0], append(command[1:], script)...)
			cmd.Env = []string{"PATH=/usr/bin:/bin"}
			out, runErr := cmd.CombinedOutput()
			got, err := os.ReadFile(filepath.Join(home, "got"))
			if err != nil {
				t.Errorf("%s: %s=%q ends it: %v: %s", name, key, value, runErr, out)
				continue
			}
			os.Remove(filepath.Join(home, "got"))
			cmdline := "\x00" + strings.Join(words, "\x00") + "\x00"
			if !bytes.HasSuffix(got, []byte(cmdline)) {
				t.Errorf("%s: the command is %q, want %q", name, got, cmdline)
			}
			environ := "\x00" + string(got)
			for _, v := range [][2]string{{"HERMES_HOME", home}, {"HOME", home}, {key, value}} {
				if v[0] == key && (v[1] != value || shellsOwn.MatchString(key)) {
					continue
				}
				if !strings.Contains(environ, "\x00"+v[0]+"="+v[1]+"\x00") {
					t.Errorf("%s: %s is not %q: %q", name, v[0], v[1], got)
				}
			}
		}
	})
}

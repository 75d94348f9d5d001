//go:build linux

package script

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hermes-s6/lib/must"
	"hermes-s6/lib/profile"
)

var update = flag.Bool("update", false, "write the golden files")

// image is where our scripts are meant to run: under s6-overlay.
func image() *Common {
	return &Common{
		Account: profile.Account{Name: "hermes", UID: 10000, GID: 10000, Home: "/opt/data/home"},
		ScanDir: "/run/service", Home: "/opt/data", Contenv: DefaultContenv, Deaths: 50, Seconds: 3600,
		Paths: Paths{
			Setuidgid: "/command/s6-setuidgid", Log: "/command/s6-log", Permafailon: "/command/s6-permafailon", Svstat: "/command/s6-svstat",
			Execlineb: "/command/execlineb", Execline: "/command",
		},
	}
}

// developer is a machine with Debian's s6 and no account to drop to.
func developer() *Common {
	h := image()
	h.Account = profile.Account{Name: "root", Home: "/root"}
	h.Contenv, h.Deaths, h.PortEnv, h.Home = "", 0, "API_SERVER_PORT", "/home/me/it's $HOME"
	h.Paths = Paths{
		Setuidgid: "/usr/bin/s6-setuidgid", Log: "/usr/bin/s6-log", Permafailon: "/usr/bin/s6-permafailon", Svstat: "/usr/bin/s6-svstat",
		Execlineb: "/usr/bin/execlineb", Execline: "/usr/lib/execline/bin",
	}
	return h
}

// TestRender compares everything that is rendered with golden files, one per definition. After
// a change, check what `go test ./lib/script -update` does to them.
func TestRender(t *testing.T) {
	rich := profile.Settings{
		Env:     map[string]profile.Bytes{"FOO": "bar baz", "QUOTED": "a'b", "DOLLAR": "${home} $path", "BACK": `\"`},
		Command: `hermes --as {profile} "$HOME" '${home}'`,
	}
	for name, d := range map[string]Definition{
		"image":     {Common: image(), Profile: "coder", Port: 9570},
		"default":   {Common: image(), Profile: profile.Default, Port: 9449, Down: true},
		"developer": {Common: developer(), Profile: "coder", Port: 4000, Settings: &rich},
	} {
		for _, dialect := range []profile.Dialect{profile.Sh, profile.Execline} {
			t.Run(fmt.Sprintf("%s-%s", name, dialect), func(t *testing.T) {
				settings := profile.Settings{}
				if d.Settings != nil {
					settings = *d.Settings
				}
				settings.Dialect = dialect
				d := d
				d.Settings = &settings
				files := Render(&d)
				compare(t, filepath.Join("testdata", fmt.Sprintf("%s.%s.golden", name, dialect)), describe(files))
				run := files[slices.IndexFunc(files, func(f File) bool { return f.Name == RunFile })]
				if port := Port(run.Data); port != d.Port {
					t.Errorf("port %d, want %d", port, d.Port)
				}
			})
		}
	}
}

func describe(files []File) string {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "==> %s %04o <==\n%s\n", f.Name, f.Mode, f.Data)
	}
	return b.String()
}

func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		must.Do(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	must.Do(t, err)
	if got != string(want) {
		t.Errorf("differs from %s:\n%s", golden, got)
	}
}

// TestShellcheck has shellcheck read every script in sh.
func TestShellcheck(t *testing.T) {
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Fatalf("%v: run `make deps`", err)
	}
	for _, common := range []*Common{image(), developer()} {
		d := &Definition{Common: common, Profile: "coder", Port: 9570, Settings: &profile.Settings{Env: map[string]profile.Bytes{"A": "b c"}}}
		for _, f := range Render(d) {
			if !strings.HasPrefix(f.Data, "#!") {
				continue
			}
			// SC2016: the script in single quotes must not be expanded here. SC2089, SC2090:
			// quotes in a value are literal, as intended. SC2254: a glob is meant to match as
			// one. SC3013: -ef is in POSIX since 2024, and dash, bash and busybox have it.
			cmd := exec.Command(shellcheck, "--shell=sh", "--exclude=SC2016,SC2089,SC2090,SC2254,SC3013", "-")
			cmd.Stdin = strings.NewReader(f.Data)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", f.Name, err, out)
			}
		}
	}
}

// TestNothingOfTheAccountBeforeTheDrop reads the scripts as root would run them: up to the
// drop every program is an absolute path outside the home, and no --env is exported.
func TestNothingOfTheAccountBeforeTheDrop(t *testing.T) {
	settings := profile.Settings{Env: map[string]profile.Bytes{"LD_PRELOAD": "/opt/data/evil.so", "PATH": "/opt/data/bin"}}
	for _, dialect := range []profile.Dialect{profile.Sh, profile.Execline} {
		settings.Dialect = dialect
		for _, f := range Render(&Definition{Common: image(), Profile: "coder", Port: 9570, Settings: &settings}) {
			if filepath.Base(f.Name) != RunFile {
				continue
			}
			before, after, ok := strings.Cut(f.Data, "/command/s6-setuidgid hermes")
			if !ok {
				t.Fatalf("%s (%s): no drop:\n%s", f.Name, dialect, f.Data)
			}
			if strings.Contains(before, "/opt/data") || strings.Contains(before, "export") {
				t.Errorf("%s (%s): before the drop:\n%s", f.Name, dialect, before)
			}
			if f.Name == RunFile && !strings.Contains(after, "/opt/data/evil.so") {
				t.Errorf("%s (%s): --env is lost", f.Name, dialect)
			}
		}
	}
}

func TestShWord(t *testing.T) {
	// Python's shlex.quote, of 3.11.
	for s, want := range map[string]string{
		"": "''", "bar": "bar", "bar baz": "'bar baz'", "a'b": `'a'"'"'b'`, "a@%+=:,./-_Z9": "a@%+=:,./-_Z9",
		"~": "'~'", "é": "'é'", "a\nb": "'a\nb'", "'": `''"'"''`,
	} {
		if got := shWord(s); got != want {
			t.Errorf("shWord(%q) = %s, want %s", s, got, want)
		}
	}
}

func TestFreshKey(t *testing.T) {
	for _, words := range [][]string{{}, {"home"}, {"xhomex", "home_", "home__y"}, {"home_", "home"}} {
		key := freshKey("home", words)
		for _, w := range words {
			if strings.Contains(w, key) {
				t.Errorf("freshKey(%q) = %q", words, key)
			}
		}
	}
}

func BenchmarkRender(b *testing.B) {
	d := &Definition{Common: image(), Profile: "coder", Port: 9570, Settings: &profile.Settings{}}
	b.ReportAllocs()
	for b.Loop() {
		Render(d)
	}
}

//go:build linux

package slot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"hermes-s6/lib/profile"
)

var dialects = []profile.Dialect{profile.Sh, profile.Execline}

// here is this machine as a host, whose gateways run as whoever runs the test.
func here(t *testing.T, dialect profile.Dialect) *Host {
	t.Helper()
	paths, err := FindPaths("", dialect)
	if err != nil {
		t.Fatalf("%v: run `make deps`", err)
	}
	return &Host{Account: profile.Account{Name: "root", Home: "/"}, Home: t.TempDir(), Deaths: 10, Seconds: 60, Paths: paths}
}

// write writes the slot that d defines below a directory of its own.
func write(t *testing.T, d *Definition) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{logDir, "supervise"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range Render(d) {
		if err := os.WriteFile(filepath.Join(dir, f.Name), []byte(f.Data), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tally is a death tally of n deaths by exit code 1, just now.
func tally(n int) []byte {
	var b []byte
	for range n {
		b = binary.BigEndian.AppendUint64(b, uint64(time.Now().Unix())+1<<62+37)
		b = append(binary.BigEndian.AppendUint32(b, 0), 1, 0)
	}
	return b
}

// TestFinish runs finish as s6-supervise does, in both dialects: the same
// answer to the same question.
func TestFinish(t *testing.T) {
	const gone = "256" // killed by a signal
	for _, c := range []struct {
		limit  string // HERMES_CRASH_LIMIT; "-": unset
		deaths int
		exit   string
		want   int
	}{
		{"-", 1, "0", 125}, {"-", 1, "78", 125}, {"-", 1, "1", 0}, {"-", 1, gone, 0}, {"0", 1, "78", 125},
		{"-", 9, "1", 0}, {"-", 10, "1", 125}, {"-", 10, gone, 125},
		{"", 9, "1", 0}, {"", 10, "1", 125},
		{"2/60", 1, "1", 0}, {"2/60", 2, "1", 125}, {"02/060", 2, "1", 125},
		{"0", 100, "1", 0}, {"0/60", 100, "1", 0},
		{"200/60", 99, "1", 0}, {"200/60", 100, "1", 125}, {"100/60", 100, "1", 125},
		{"often", 9, "1", 0}, {"often", 10, "1", 125}, {"5", 9, "1", 0}, {"5", 10, "1", 125}, {"1/2/3", 10, "1", 125},
		{"/60", 10, "1", 125}, {"2/", 10, "1", 125}, {"-1/60", 10, "1", 125}, {"$(id)/60", 10, "1", 125}, {" ", 10, "1", 125},
	} {
		for _, dialect := range dialects {
			d := &Definition{Host: here(t, dialect), Profile: "coder", Settings: &profile.Settings{Dialect: dialect}}
			dir := write(t, d)
			if err := os.WriteFile(filepath.Join(dir, "supervise/death_tally"), tally(c.deaths), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("./finish", c.exit, "9", "gateway-coder", "4242")
			cmd.Dir = dir
			if c.limit != "-" {
				cmd.Env = append(os.Environ(), "HERMES_CRASH_LIMIT="+c.limit)
			}
			out, err := cmd.CombinedOutput()
			if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != c.want {
				t.Errorf("%s: limit %q, %d deaths, exit %s: %d, want %d: %s", dialect, c.limit, c.deaths, c.exit, got, c.want, out)
			}
		}
	}
}

// TestRunEnvironment runs run in both dialects with what an environment may lack.
func TestRunEnvironment(t *testing.T) {
	elsewhere := t.TempDir()
	inner := filepath.Join(elsewhere, "profiles/A")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ env, want string }{
		{"", "$HOME_HERE"}, {"HERMES_HOME=", "$HOME_HERE"}, {"HERMES_HOME=" + elsewhere, elsewhere},
		// What the tools take for the root, the scripts do.
		{"HERMES_HOME=" + elsewhere + "/profiles/a-1_b", elsewhere}, {"HERMES_HOME=" + elsewhere + "/profiles/a//", elsewhere},
		{"HERMES_HOME=" + inner + "/profiles/a", inner}, {"HERMES_HOME=" + inner, inner}, {"HERMES_HOME=/profiles/a", "/"},
	} {
		for _, dialect := range dialects {
			host := here(t, dialect)
			settings := profile.Settings{Dialect: dialect, Command: `/bin/sh -c 'echo "$PWD $HERMES_HOME ${PATH:-none}"'`}
			d := &Definition{Host: host, Profile: "coder", Port: 9570, Settings: &settings}
			cmd := exec.Command("./run")
			cmd.Dir = write(t, d)
			cmd.Env = []string{"PATH=/usr/bin:/bin"}
			if c.env != "" {
				cmd.Env = append(cmd.Env, c.env)
			}
			out, err := cmd.CombinedOutput()
			want := c.want
			if want == "$HOME_HERE" {
				want = host.Home
			}
			var pwd, home, path string
			_, _ = fmt.Sscan(string(out), &pwd, &home, &path)
			if err != nil || pwd != want || home != want {
				t.Errorf("%s: %q: %s, %v, want %s", dialect, c.env, out, err, want)
			}
		}
	}
}

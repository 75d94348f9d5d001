//go:build linux

package script

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6/s6test"
)

var dialects = []profile.Dialect{profile.Sh, profile.Execline}

// here is this machine as a host, whose gateways run as the user who runs the test.
func here(t *testing.T, dialect profile.Dialect) *Common {
	t.Helper()
	paths, err := FindPaths("", dialect)
	if err != nil {
		t.Fatalf("%v: run `make deps`", err)
	}
	return &Common{Account: profile.Account{Name: "root", Home: "/"}, Home: t.TempDir(), Deaths: 50, Seconds: 3600, Paths: paths}
}

// write writes the slot that d defines below a directory of its own.
func write(t *testing.T, d *Definition) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{LogDir, "supervise"} {
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

// tally returns a death tally of n deaths with exit code code, age ago.
func tally(n int, code byte, age time.Duration) []byte {
	var b []byte
	for range n {
		b = binary.BigEndian.AppendUint64(b, uint64(time.Now().Add(-age).Unix())+1<<62+37)
		b = append(binary.BigEndian.AppendUint32(b, 0), code, 0)
	}
	return b
}

// A finishing is one run of finish, as s6-supervise runs it, but without s6-supervise.
type finishing struct {
	limit  string // HERMES_CRASH_LIMIT; "-": unset
	exit   string // the exit code, or 256 and the signal
	deaths []byte
	// permafailon runs in place of s6-permafailon, "" for the real one.
	permafailon string
}

// finish runs the finish script of a slot in dialect, and returns its exit code and output.
func (f finishing) finish(t *testing.T, dialect profile.Dialect) (int, string) {
	t.Helper()
	d := &Definition{Common: here(t, dialect), Profile: "coder", Settings: &profile.Settings{Dialect: dialect}}
	if f.permafailon != "" {
		d.Paths.Permafailon = f.permafailon
	}
	dir := write(t, d)
	for name, data := range map[string][]byte{"death_tally": f.deaths, "status": nil} {
		if err := os.WriteFile(filepath.Join(dir, "supervise", name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	code, signal, killed := strings.Cut(f.exit, " ")
	if !killed {
		signal = "0"
	}
	cmd := exec.Command("./finish", code, signal, "gateway-coder", "4242")
	cmd.Dir = dir
	if f.limit != "-" {
		cmd.Env = append(os.Environ(), "HERMES_CRASH_LIMIT="+f.limit)
	}
	out, err := cmd.CombinedOutput()
	if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestFinish runs finish in both dialects: the same question gets the same answer.
func TestFinish(t *testing.T) {
	for _, c := range []struct {
		exit   string
		code   byte // of the deaths
		deaths int
		want   int
	}{
		{"0", 1, 1, 125}, {"78", 1, 1, 125}, {"1", 1, 1, 0}, {"256 9", 137, 1, 0},
		{"1", 1, 49, 0}, {"1", 1, 50, 125}, {"256 9", 137, 50, 125}, {"255", 255, 50, 125},
		// An end that was asked for is not a death, and does not add to the deaths.
		{"75", 1, 99, 0}, {"256 15", 1, 99, 0}, {"143", 1, 99, 0}, {"256 1", 129, 99, 125},
		{"1", 75, 99, 0}, {"1", 143, 99, 0}, {"1", 0, 99, 0}, {"1", 78, 99, 0},
		{"1", 74, 50, 125}, {"1", 76, 50, 125}, {"1", 77, 50, 125}, {"1", 79, 50, 125}, {"1", 142, 50, 125}, {"1", 144, 50, 125},
	} {
		for _, dialect := range dialects {
			got, out := finishing{"-", c.exit, tally(c.deaths, c.code, 0), ""}.finish(t, dialect)
			if got != c.want {
				t.Errorf("%s: %d deaths by %d, exit %s: %d, want %d: %s", dialect, c.deaths, c.code, c.exit, got, c.want, out)
			}
		}
		if counts := c.exit == "1" && c.want == 125; c.exit == "1" && c.deaths >= 50 && counts != IsCrash(int(c.code)) {
			t.Errorf("IsCrash(%d) = %t, and to finish it is not so", c.code, !counts)
		}
	}
}

// TestCrashLimit has every reader of a crash limit read it, and compares their answers.
func TestCrashLimit(t *testing.T) {
	const none, bad = 0, -1
	teller := filepath.Join(t.TempDir(), "permafailon")
	if err := os.WriteFile(teller, []byte("#!/bin/sh\necho \"$@\"; exit 125\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		limit           string
		deaths, seconds int
	}{
		{"0", none, 0}, {"2/60", 2, 60}, {"1/1000", 1, 1000}, {"100/60", 100, 60}, {"010/060", 10, 60}, {"002/00060", 2, 60},
		{"99/999999999", 99, 999999999}, {"3/00000000060", 3, 60},
		{"00/60", bad, 0}, {"0/60", bad, 0}, {"0/0", bad, 0}, {"00", bad, 0}, {"000", bad, 0}, {"5/0", bad, 0}, {"5/00", bad, 0},
		{"101/60", bad, 0}, {"200/60", bad, 0}, {"1000/60", bad, 0}, {"5/1000000000", bad, 0}, {"5/4294967296", bad, 0},
		{"5/99999999999999999999", bad, 0}, {"99999999999999999999/60", bad, 0}, {"4294967297/60", bad, 0},
		{"5", bad, 0}, {"/", bad, 0}, {"/60", bad, 0}, {"5/", bad, 0}, {"5//60", bad, 0}, {"1/2/3", bad, 0}, {"/5/60", bad, 0}, {"5/60/", bad, 0},
		{" ", bad, 0}, {" 5/60", bad, 0}, {"5/60 ", bad, 0}, {"5/60\n", bad, 0}, {"5 /60", bad, 0}, {"\n5/60", bad, 0}, {"x\n0", bad, 0}, {"0\n", bad, 0},
		{"+5/60", bad, 0}, {"5/+60", bad, 0}, {"-1/60", bad, 0}, {"0x5/60", bad, 0}, {"5/6e1", bad, 0}, {"5_0/60", bad, 0}, {"1.5/60", bad, 0},
		{"٥/60", bad, 0}, {"5/٦٠", bad, 0}, {"²/60", bad, 0}, {"often", bad, 0}, {"$(id)/60", bad, 0}, {"*/60", bad, 0}, {"?/60", bad, 0}, {"\xff/60", bad, 0},
	} {
		deaths, seconds, err := ParseCrashLimit(c.limit)
		if (err != nil) != (c.deaths == bad) || err == nil && (deaths != c.deaths || seconds != c.seconds) {
			t.Errorf("ParseCrashLimit(%q) = %d, %d, %v", c.limit, deaths, seconds, err)
		}
		if c.deaths == bad {
			c.deaths, c.seconds = 50, 3600
		}
		want := fmt.Sprintln(c.seconds, c.deaths, crashes, "/bin/true")
		if c.deaths == none {
			want = ""
		}
		for _, dialect := range dialects {
			_, out := finishing{c.limit, "1", nil, teller}.finish(t, dialect)
			if out, _, _ = strings.Cut(out, "s6-svstat:"); out != want {
				t.Errorf("%s: limit %q: s6-permafailon %s, want %s", dialect, c.limit, out, want)
			}
		}
	}
	checkLimit(t, "0", 0, 0)
	checkLimit(t, "2/60", 2, 60)
	checkLimit(t, "99/999999999", 99, 999999999)
	for _, limit := range []string{"", "-", "00/60", "5/4294967296"} {
		checkLimit(t, limit, 50, 3600)
	}
	if _, _, err := ParseCrashLimit(""); err == nil {
		t.Error("ParseCrashLimit takes an empty one")
	}
}

// checkLimit checks that to the finish scripts limit means deaths in seconds.
func checkLimit(t *testing.T, limit string, deaths, seconds int) {
	t.Helper()
	age := func(seconds int) time.Duration { return time.Duration(seconds) * time.Second }
	probes := []struct {
		deaths []byte
		want   int
	}{
		{tally(deaths-1, 1, 0), 0}, {tally(deaths, 1, 0), 125},
		{tally(deaths, 1, age(seconds/2)), 125}, {tally(deaths, 1, age(seconds+60)), 0},
	}
	if deaths == 0 {
		probes = probes[:1]
		probes[0].deaths = tally(100, 1, 0)
	}
	for _, dialect := range dialects {
		for i, p := range probes {
			got, out := finishing{limit, "1", p.deaths, ""}.finish(t, dialect)
			if got != p.want || strings.Contains(out, "usage") {
				t.Errorf("%s: limit %q, probe %d: %d, want %d: %s", dialect, limit, i, got, p.want, out)
			}
		}
	}
}

// TestBackOff has finish choose how long it waits, from its last choice and the time of the
// last deaths, and ends the wait as s6-supervise does on a command.
func TestBackOff(t *testing.T) {
	says := filepath.Join(t.TempDir(), "svstat") // what s6-svstat prints for a gateway that has ended
	if err := os.WriteFile(says, []byte("#!/bin/sh\necho false true\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		last string        // "-": no file
		age  time.Duration // of the death before this one
		want string
	}{
		{"-", 2 * time.Second, "1"}, {"", 2 * time.Second, "1"}, {"often", 2 * time.Second, "1"}, {"3", 2 * time.Second, "1"},
		{"1", 2 * time.Second, "2"}, {"1", 50 * time.Second, "2"}, {"1", 75 * time.Second, "1"}, {"2", 3 * time.Second, "4"}, {"4", 9 * time.Second, "8"},
		{"8", 9 * time.Second, "16"}, {"16", 65 * time.Second, "32"}, {"16", 90 * time.Second, "1"}, {"32", 35 * time.Second, "60"},
		{"60", 61 * time.Second, "60"}, {"60", 105 * time.Second, "60"}, {"60", 130 * time.Second, "1"},
	} {
		for _, dialect := range dialects {
			d := &Definition{Common: here(t, dialect), Profile: "coder", Settings: &profile.Settings{Dialect: dialect}}
			d.Paths.Svstat = says
			dir := write(t, d)
			in := func(name string) string { return filepath.Join(dir, "supervise", name) }
			for name, data := range map[string]string{"death_tally": string(append(tally(1, 1, c.age), tally(1, 1, 0)...)), "status": "", "backoff": c.last + "\n"} {
				if name == "backoff" && c.last == "-" {
					continue
				}
				if err := os.WriteFile(in(name), []byte(data), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			before, _ := os.Stat(in("backoff"))
			cmd := exec.Command("./finish", "1", "0", "gateway-coder")
			cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			chosen := ""
			s6test.Await(t, func() error {
				text, err := os.ReadFile(in("backoff"))
				after, e := os.Stat(in("backoff"))
				if err != nil || e != nil || len(text) == 0 || before != nil && after.ModTime().Equal(before.ModTime()) {
					return fmt.Errorf("%q, %v, %v", text, err, e)
				}
				chosen = strings.TrimSpace(string(text))
				return nil
			})
			if chosen != c.want {
				t.Errorf("%s: last %q, a death %v ago: %s s, want %s", dialect, c.last, c.age, chosen, c.want)
			}
			if err := errors.Join(os.WriteFile(in("status.new"), nil, 0o644), os.Rename(in("status.new"), in("status"))); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s: last %q: %v", dialect, c.last, err)
			}
			if text, _ := os.ReadFile(in("backoff")); c.want != "1" && len(text) > 0 {
				t.Errorf("%s: last %q: %q is kept after a command", dialect, c.last, text)
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
		// The scripts derive the same root as the tools.
		{"HERMES_HOME=" + elsewhere + "/profiles/a-1_b", elsewhere}, {"HERMES_HOME=" + elsewhere + "/profiles/a//", elsewhere},
		{"HERMES_HOME=" + inner + "/profiles/a", inner}, {"HERMES_HOME=" + inner, inner}, {"HERMES_HOME=/profiles/a", "/"},
	} {
		for _, dialect := range dialects {
			host := here(t, dialect)
			settings := profile.Settings{Dialect: dialect, Command: `/bin/sh -c 'echo "$PWD $HERMES_HOME ${PATH:-none}"'`}
			d := &Definition{Common: host, Profile: "coder", Port: 9570, Settings: &settings}
			cmd := exec.Command("./run")
			cmd.Dir = write(t, d)
			cmd.Env = []string{"PATH=/usr/bin:/bin", "HERMES_FENCE=off"}
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

// TestSplit gives a gateway with a fence an IFS of its own, by which no word of ours is to
// be split.
func TestSplit(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "hermes-fence"), []byte("#!/bin/sh\nshift\nexec \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dialect := range dialects {
		host := here(t, dialect)
		settings := profile.Settings{Dialect: dialect, Command: "/usr/bin/env", Env: map[string]profile.Bytes{"IFS": "/ehrm-"}}
		cmd := exec.Command("./run")
		cmd.Dir = write(t, &Definition{Common: host, Profile: "coder", Port: 9570, Settings: &settings})
		cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "HERMES_GATEWAY_FENCE=") {
			t.Errorf("%s: %v: %s", dialect, err, out)
		}
	}
}

// TestScrub has gateways of both dialects start in an environment with variables that are not
// meant for them.
func TestScrub(t *testing.T) {
	env := []string{"API_SERVER_PORT=1", "API_SERVER_KEY=a b\nc", "API_SERVERS=3", "XAPI_SERVER_PORT=4", "OTHER=5\nAPI_SERVER_X y=6\n*=7", "TOKEN_A=8", "TOKEN_B=9",
		"NASTY=$(touch /tmp/nasty) \xff'\"\\", "EMPTY=", "API_SERVER_KEPT=of the container"}
	for _, c := range []struct {
		profile, scrub string
		gone           []string
	}{
		{"coder", "-", []string{"API_SERVER_PORT", "API_SERVER_KEY"}},
		{"coder", "", []string{"API_SERVER_PORT", "API_SERVER_KEY"}},
		{"coder", "none", nil},
		{"coder", "TOKEN_[!A], *_PORT,EMPTY", []string{"API_SERVER_PORT", "XAPI_SERVER_PORT", "TOKEN_B", "EMPTY"}},
		{"coder", "nothing like it,$(id),*'", nil},
		{"coder", "HERMES_H*,PATH,T*", []string{"TOKEN_A", "TOKEN_B"}},
		{profile.Default, "-", nil},
	} {
		for _, dialect := range dialects {
			host := here(t, dialect)
			settings := profile.Settings{Dialect: dialect, Command: "/usr/bin/env -0", Env: map[string]profile.Bytes{"API_SERVER_KEPT": "mine"}}
			cmd := exec.Command("./run")
			cmd.Dir = write(t, &Definition{Common: host, Profile: c.profile, Port: 9570, Settings: &settings})
			cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HERMES_FENCE=off", "HERMES_HOME=" + host.Home}, env...)
			if c.scrub != "-" {
				cmd.Env = append(cmd.Env, "HERMES_PROFILE_SCRUB="+c.scrub)
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v: %s", dialect, err, out)
			}
			// Debian's execlineb puts the directory of its programs before PATH.
			got := strings.Split(strings.Replace(string(out), "PATH=/usr/lib/execline/bin:", "PATH=", 1), "\x00")
			for _, v := range append(env[:len(env)-1:len(env)-1], "PATH=/usr/bin:/bin", "HERMES_HOME="+host.Home, "API_SERVER_KEPT=mine") {
				name, _, _ := strings.Cut(v, "=")
				if slices.Contains(got, v) == slices.Contains(c.gone, name) {
					t.Errorf("%s %s: scrub %q: %q is there: %t", dialect, c.profile, c.scrub, v, slices.Contains(got, v))
				}
			}
			for _, v := range got {
				if strings.HasPrefix(v, "scrub_") || strings.HasPrefix(v, "IFS=") {
					t.Errorf("%s: the gateway has %q", dialect, v)
				}
			}
		}
	}
}

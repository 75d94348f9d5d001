//go:build linux

package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSystemd runs hermes-detect and hermes-svc on a system with a real systemd, for its units
// and for those of the account's own systemd.
func TestSystemd(t *testing.T) {
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil {
		leaveOut(t, "there is no systemd on this machine")
	}
	home := newHomeFor(t)
	addProfile(t, home, "coder", `{"n":1}`)
	c := newContainer(t, home)
	c.copy("testdata/container/init-systemd", filepath.Join(c.dir, "upper/harness/init"))
	c.boot()
	state := filepath.Join(home, "profiles/coder/gateway_state.json")

	if out, code := c.exec(true, "hermes-detect", "--json"); code != 0 || !strings.Contains(out, `"kind":"systemd"`) {
		t.Errorf("hermes-detect: %d: %s", code, out)
	}
	for _, mode := range []struct {
		name string
		user bool
		args []string
	}{{"system", false, []string{"hermes-svc", "VERB", "--system"}}, {"user", true, []string{"env", "XDG_RUNTIME_DIR=/run/user/10000", "hermes-svc", "VERB"}}} {
		t.Run(mode.name, func(t *testing.T) {
			svc := func(verb string, rest ...string) (string, int) {
				args := append([]string{}, mode.args...)
				for i, a := range args {
					if a == "VERB" {
						args[i] = verb
					}
				}
				return c.exec(mode.user, append(args, rest...)...)
			}
			// up asks hermes-svstat in the same way.
			up := func(want string, wantCode int) {
				t.Helper()
				args := []string{}
				for _, a := range mode.args {
					if a != "VERB" {
						args = append(args, strings.Replace(a, "hermes-svc", "hermes-svstat", 1))
					}
				}
				if out, code := c.exec(mode.user, append(args, "--json", "coder")...); code != wantCode || !strings.Contains(out, want) {
					t.Errorf("hermes-svstat: %d: %s", code, out)
				}
			}
			up(`"up":false,"pid":null`, 1)
			out, code := svc("start", "--wait", "--json", "coder")
			if code != 0 || !strings.Contains(out, `"action":"started","pid":`) || strings.Contains(out, "null") {
				t.Fatalf("start: %d: %s", code, out)
			}
			up(strings.Replace(out[strings.Index(out, `"pid"`):], `,"killed":false`, "", 1), 0)
			if again, code := svc("start", "--wait", "--json", "coder"); code != 0 || again != out {
				t.Errorf("start, again: %d: %swant %s", code, again, out)
			}
			restarted, code := svc("restart", "--json", "coder")
			if code != 0 || strings.ReplaceAll(restarted, "restarted", "started") == out {
				t.Errorf("restart: %d: %s", code, restarted)
			}
			for range 2 {
				if out, code := svc("stop", "--wait", "coder"); code != 0 || out != "" {
					t.Errorf("stop: %d: %s", code, out)
				}
			}
			up(`"up":false,"pid":null`, 1)
			if got := readFile(t, state); !strings.Contains(got, `"desired_state": "stopped"`) {
				t.Errorf("state: %s", got)
			}
			if _, code := svc("start", "nobody"); code != 102 {
				t.Errorf("start of what is not there: %d", code)
			}
			if _, code := svc("stop", "nobody"); code != 102 {
				t.Errorf("stop of what is not there: %d", code)
			}
			if _, code := svc("start", "--wait", "bad"); code != 110 {
				t.Errorf("start of what fails: %d", code)
			}
		})
	}
	// Without access to its bus systemd cannot be asked.
	if _, code := c.exec(true, "env", "-u", "XDG_RUNTIME_DIR", "hermes-svc", "start", "coder"); code != 110 {
		t.Errorf("no bus: %d", code)
	}
}

//go:build linux

package test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hermes-s6/lib/must"
)

// A hostCase is what the tool of a host's service manager has answered somebody, and what
// one of our programs makes of that. The tools cannot be had here: a stand-in replays them.
type hostCase struct {
	name   string
	source string // where the answers are from: the page or thread that shows them
	// answers are those to the calls of a subcommand at a place, in the order of the calls;
	// the last one counts for all that follow.
	answers map[string][]answer
	bare    bool     // nothing is installed: launchd has no plist to load
	run     []string // ours
	code    int
	stdout  string // a regular expression, "" for nothing
	stderr  string // one for the line of what failed, "" for none
	hint    string // one for what helps, "" for nothing
	calls   string // what the tool was called with, with "; " between; "" for any
	looks   bool   // calls has those as well that only look
	desired string // what is on record after, "" for nothing
}

// An answer is an exit code, and what is printed: on stderr where that is not 0.
type answer struct {
	code int
	said string
}

// replayer is the stand-in. It knows a place by what is in the arguments.
const replayer = `#!/bin/sh
cd "${0%/*}"
echo "$*" >>calls
case $* in
*gui/*) place=gui ;;
*user/*) place=user ;;
*/TN*) place=task ;;
*) place=list ;;
esac
key=${1#/}-$place
n=$(cat "$key.n" 2>/dev/null || echo 0)
n=$((n + 1))
[ ! -e "$key.$n" ] || echo "$n" >"$key.n"
[ -e "$key.$n" ] || n=$((n - 1))
{ read -r code && if [ "$code" = 0 ]; then cat; else cat >&2; fi && exit "$code"; } <"$key.$n"
`

// replay runs a case with tool standing in for the one of manager.
func (c hostCase) replay(t *testing.T, manager, tool string, usual map[string][]answer) {
	t.Helper()
	p := newPlace(t)
	dir := filepath.Join(p.dir, "tools")
	write := func(path, text string, mode os.FileMode) {
		must.Do(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must.Do(t, os.WriteFile(path, []byte(text), mode))
	}
	write(filepath.Join(dir, tool), replayer, 0o755)
	answers := maps.Clone(usual)
	maps.Copy(answers, c.answers)
	for key, list := range answers {
		for i, a := range list {
			write(filepath.Join(dir, fmt.Sprintf("%s.%d", strings.ReplaceAll(key, " ", "-"), i+1)), fmt.Sprintf("%d\n%s", a.code, a.said), 0o644)
		}
	}
	if !c.bare {
		write(filepath.Join(p.dir, "Library/LaunchAgents/ai.hermes.gateway-coder.plist"), "", 0o644)
	}
	cmd := exec.Command(c.run[0], patient(c.run)...)
	cmd.Env = append(p.env(), "HERMES_SERVICE_MANAGER="+manager, "HOME="+p.dir, "PATH="+dir+":"+os.Getenv("PATH"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != c.code {
		t.Errorf("exit code %d, want %d", got, c.code)
	}
	if !regexp.MustCompile("(?m)" + either(c.stdout)).MatchString(stdout.String()) {
		t.Errorf("stdout: %q, want %q", stdout.String(), c.stdout)
	}
	line, hint, _ := strings.Cut(strings.TrimSuffix(stderr.String(), "\n"), "\n"+c.run[0]+": hint: ")
	if !regexp.MustCompile("^"+either(c.stderr)).MatchString(line) || strings.Contains(line, "\n") || !regexp.MustCompile("^"+either(c.hint)).MatchString(hint) {
		t.Errorf("stderr: %q, want %q, and the hint %q", stderr.String(), c.stderr, c.hint)
	}
	if got := called(t, filepath.Join(dir, "calls"), c.looks); c.calls != "" && got != c.calls {
		t.Errorf("calls: %s\nwant:  %s", got, c.calls)
	}
	state, _ := os.ReadFile(filepath.Join(p.home, "profiles/coder/gateway_state.json"))
	if got := regexp.MustCompile(`"desired_state": "([^"]*)"`).FindSubmatch(state); (got != nil) != (c.desired != "") || got != nil && string(got[1]) != c.desired {
		t.Errorf("on record: %s, want %q", state, c.desired)
	}
}

// patient returns the arguments of a command, hermes-svc among others, which gets time on a
// busy machine.
func patient(command []string) []string {
	args := slices.Clone(command[1:])
	if command[0] == "hermes-svc" && len(args) > 1 && !slices.Contains(args, "--timeout") {
		args = slices.Insert(args, 1, "--timeout", "600000")
	}
	return args
}

// either is pattern, for nothing at all where it is empty.
func either(pattern string) string {
	if pattern == "" {
		return `\z`
	}
	return pattern
}

// called returns the calls in file, without those that only look unless looks is set, and
// with what differs between machines left out.
func called(t *testing.T, file string, looks bool) string {
	t.Helper()
	text, err := os.ReadFile(file)
	must.Do(t, err)
	var calls []string
	for call := range strings.Lines(string(text)) {
		call = strings.TrimSpace(call)
		if looks || !strings.HasPrefix(call, "print ") && !strings.HasPrefix(call, "/Query ") {
			calls = append(calls, call)
		}
	}
	uid := regexp.MustCompile(`(gui|user)/[0-9]+`)
	path := regexp.MustCompile(` /[^;]*/(ai\.hermes[^/]*\.plist)`)
	return path.ReplaceAllString(uid.ReplaceAllString(strings.Join(calls, "; "), "$1"), " $1")
}

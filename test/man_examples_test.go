//go:build linux

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

// An example is a command in a page, and the output that the page shows.
type example struct{ command, output string }

func (p manual) examples() (examples []example) {
	inside := false
	for _, line := range p["EXAMPLES"] {
		switch command, ok := strings.CutPrefix(line, "$ "); {
		case strings.HasPrefix(line, ".Bd"), strings.HasPrefix(line, ".Ed"):
			inside = !inside
		case inside && ok:
			examples = append(examples, example{command: strings.ReplaceAll(command, `\e`, `\`)})
		case inside:
			examples[len(examples)-1].output += line + "\n"
		}
	}
	return examples
}

// TestManualExamples runs the examples of each page in order, on a tree and a home of its own
// in place of those that the page names. It does not compare numbers and widths, and compares
// nothing if a page shows no output.
func TestManualExamples(t *testing.T) {
	bin := static(t)
	shape := func(s string) string {
		s = regexp.MustCompile(`[0-9]+`).ReplaceAllString(s, "0")
		return regexp.MustCompile(` +`).ReplaceAllString(s, " ")
	}
	pages, _ := filepath.Glob("man/*")
	for _, path := range pages {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			account, err := furnish(dir)
			must.Do(t, err)
			scan, home := filepath.Join(dir, "scan"), filepath.Join(dir, "home")
			here := strings.NewReplacer("/run/service", scan, "/opt/data", home)
			env := append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+bin+":"+os.Getenv("PATH"),
				"HERMES_HOME="+home, "HERMES_USER="+account.Username,
				"HERMES_SERVICE_MANAGER=s6", "S6_PROFILE_GATEWAY_SCANDIR="+scan)
			s6test.Start(t, scan, env)
			run := func(command string) string {
				cmd := exec.Command("sh", "-c", here.Replace(command))
				cmd.Env, cmd.Dir, cmd.Stderr = env, dir, os.Stderr
				out, err := cmd.Output()
				// 1 is an answer. No other failure may be shown.
				if err != nil && cmd.ProcessState.ExitCode() != 1 {
					t.Fatalf("%s: %v", command, err)
				}
				return strings.ReplaceAll(string(out), scan, "/run/service")
			}
			switch filepath.Base(path) {
			case "hermes-logs.1", "hermes-s6.1", "hermes-svstat.1", "hermes-svc.1", "hermes-svc-unregister.1":
				run("hermes-svc-register --wait coder && hermes-svc-register --down writer")
			}
			examples := readManual(t, filepath.Base(path)).examples()
			if len(examples) == 0 {
				t.Fatal("there are none")
			}
			for _, x := range examples {
				if out := run(x.command); x.output != "" && shape(out) != shape(x.output) {
					t.Errorf("%s\nprints:\n%sthe page says:\n%s", x.command, out, x.output)
				}
			}
			run("hermes-svc-unregister --all")
		})
	}
}

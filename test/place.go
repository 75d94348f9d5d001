//go:build linux

package test

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

// A place is what a script's setup gives it, for tests in Go.
type place struct {
	dir, scan, home, account string
	bin                      string // our programs, if the test does not run them itself
	uid                      int    // the account's
}

func newPlace(t *testing.T) place {
	t.Helper()
	dir, err := os.MkdirTemp("", "hermes-")
	must.Do(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	account, err := furnish(dir)
	must.Do(t, err)
	p := place{dir: dir, scan: filepath.Join(dir, "scan"), home: filepath.Join(dir, "home"), account: account.Username}
	p.uid, err = strconv.Atoi(account.Uid)
	must.Do(t, err)
	return p
}

// newTree is newPlace with an s6-svscan on it.
func newTree(t *testing.T) (place, *s6test.Svscan) {
	t.Helper()
	p := newPlace(t)
	return p, s6test.Start(t, p.scan, p.env())
}

// addProfile adds a profile, with gateway_state.json if state is not empty.
func (p place) addProfile(t *testing.T, name, state string) {
	t.Helper()
	addProfileOf(t, p.uid, p.home, name, state)
}

// gateway makes the place's gateway do what does says, see writeGateway.
func (p place) gateway(t *testing.T, does ...string) {
	t.Helper()
	must.Do(t, writeGateway(filepath.Join(p.dir, "bin/hermes"), does...))
}

// pid returns the pid of profile name's gateway.
func (p place) pid(t *testing.T, name string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(p.run(t, 0, "hermes-svstat", "-o", "pid", name)))
	must.Do(t, err)
	return pid
}

// noneLeft fails the test if a process of tree runs besides s6-svscan.
func noneLeft(t *testing.T, tree *s6test.Svscan) {
	t.Helper()
	if ps := tree.Processes(); len(ps) > 0 {
		t.Errorf("processes are left: %v", ps)
	}
}

func (p place) env() []string {
	path := filepath.Join(p.dir, "bin") + ":" + os.Getenv("PATH")
	if p.bin != "" {
		path = p.bin + ":" + path
	}
	return append(os.Environ(), "PATH="+path, "HERMES_HOME="+p.home,
		"HERMES_USER="+p.account, "HERMES_SERVICE_MANAGER=s6", "S6_PROFILE_GATEWAY_SCANDIR="+p.scan)
}

func (p place) command(name string, args ...string) *exec.Cmd {
	if p.bin != "" && strings.HasPrefix(name, "hermes-") {
		name = filepath.Join(p.bin, name)
	}
	cmd := exec.Command(name, args...)
	cmd.Env = p.env()
	return cmd
}

// run runs a command, which must exit with code, and returns its stdout.
func (p place) run(t *testing.T, code int, name string, args ...string) string {
	t.Helper()
	cmd := p.command(name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("%s: exit code %d, want %d: %s", name, got, code, stderr.Bytes())
	}
	return stdout.String()
}

// furnish makes a home with two profiles in dir, an empty scan directory, and bin with the
// stand-in. It returns the account that gateways run as.
func furnish(dir string) (*user.User, error) {
	account, err := testAccount()
	if err != nil {
		return nil, err
	}
	// The account must be able to reach the home, but only the owner can enter a test's
	// directories.
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if info, err := os.Stat(d); err != nil || info.Mode()&0o5 == 0o5 {
			continue
		}
		if err := os.Chmod(d, 0o755); err != nil {
			return nil, err
		}
	}
	for _, d := range []string{"home", "home/profiles", "home/profiles/coder", "home/profiles/writer", "scan", "bin"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
		if os.Geteuid() == 0 && strings.HasPrefix(d, "home") {
			uid, _ := strconv.Atoi(account.Uid)
			gid, _ := strconv.Atoi(account.Gid)
			if err := os.Chown(filepath.Join(dir, d), uid, gid); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range []string{"coder", "writer"} {
		if err := os.WriteFile(filepath.Join(dir, "home/profiles", name, "SOUL.md"), nil, 0o755); err != nil {
			return nil, err
		}
	}
	return account, writeGateway(filepath.Join(dir, "bin/hermes"), dumps)
}

// testAccount returns the account that gateways run as in tests: not root, if we can drop to
// another account.
func testAccount() (*user.User, error) {
	if os.Geteuid() == 0 {
		return user.Lookup("nobody")
	}
	return user.Current()
}

func (p place) listing(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(p.scan)
	must.Do(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

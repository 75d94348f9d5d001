//go:build linux

package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A fleet is several containers on one home. Their gateways report in the home if one runs
// twice (testdata/gateway).
//
// Namespaces on one machine do not show everything, because all locks belong to one kernel.
// The holder of a fence is then known by its pid, 0 in another container, and a lock falls as
// soon as its process ends. Over NFS or CephFS the lock belongs to a server, which knows no
// pids. There it falls when the server has heard of the end or has waited out a lease; a
// machine that is cut off holds the lock until then and goes on. These tests use no NFS.
type fleet struct {
	t        *testing.T
	home     string
	profiles []string
	members  []*container
}

// newFleet prepares n containers with env on a home with profiles, all in the given state.
func newFleet(t *testing.T, n int, profiles []string, state string, env ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, home: newHomeFor(t), profiles: profiles}
	for _, p := range profiles {
		addProfile(t, f.home, p, state)
	}
	for range n {
		f.join(env...)
	}
	t.Cleanup(f.checkAlone)
	return f
}

// names returns n names of profiles.
func names(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("p", i))
	}
	return all
}

// join prepares one more container.
func (f *fleet) join(env ...string) *container {
	f.t.Helper()
	c := newContainer(f.t, f.home, env...)
	c.standIn()
	f.members = append(f.members, c)
	return c
}

// standIn makes the gateway of c the stand-in that detects whether it runs alone.
func (c *container) standIn() {
	c.t.Helper()
	c.check(os.Remove(c.hermes()))
	c.check(build(c.hermes(), "./testdata/gateway"))
}

// twice returns the reports of gateways that found another of their profile running.
func (f *fleet) twice() string {
	text, err := os.ReadFile(filepath.Join(f.home, "twice"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.t.Error(err)
	}
	return string(text)
}

// forgive removes reports that were expected.
func (f *fleet) forgive() {
	f.t.Helper()
	if err := os.Remove(filepath.Join(f.home, "twice")); err != nil {
		f.t.Error(err)
	}
}

// checkAlone fails the test if a gateway ran twice at once.
func (f *fleet) checkAlone() {
	if text := f.twice(); text != "" {
		f.t.Errorf("ran twice at once:\n%.2000s", text)
	}
}

// A life is what one process of a gateway has reported about itself.
type life struct {
	id, host   string
	began, end int64  // by the clock, in ns; end 0: it was killed, or lives
	settings   string // its port, and what --env gave it
}

// lives returns the lives of a profile's gateway, in the order of their beginnings.
func (f *fleet) lives(profile string) (all []life) {
	f.t.Helper()
	data, err := os.ReadFile(filepath.Join(f.home, "profiles", profile, "lives"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.t.Error(err)
	}
	for line := range strings.Lines(string(data)) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		id, rest, _ := strings.Cut(rest, " ")
		parts := strings.Split(id, "/")
		began, err := strconv.ParseInt(parts[len(parts)-1], 10, 64)
		if err != nil {
			f.t.Fatalf("%s: %q: %v", profile, line, err)
		}
		if verb == "start" {
			all = append(all, life{id: id, host: parts[0], began: began, settings: rest})
			continue
		}
		for i := range all {
			if all[i].id == id {
				all[i].end, _ = strconv.ParseInt(strings.TrimPrefix(rest, "at "), 10, 64)
			}
		}
	}
	slices.SortFunc(all, func(a, b life) int { return int(a.began - b.began) })
	return all
}

// A runner is the running process of a gateway.
type runner struct {
	host string // its container's
	pid  int    // in our namespace
}

// runners returns the running gateway processes of each profile, whether supervised or not. It
// identifies them by what they execute, and their container by the PID namespace.
func (f *fleet) runners() map[string][]runner {
	hosts := map[string]string{}
	for _, c := range f.members {
		if namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", c.pid)); err == nil {
			hosts[namespace] = c.host()
		}
	}
	all := map[string][]runner{}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range processes {
		program, err := os.Readlink(dir + "/exe")
		if err != nil || !strings.HasSuffix(program, "/opt/hermes/.venv/bin/hermes") {
			continue
		}
		namespace, _ := os.Readlink(dir + "/ns/pid")
		line, err := os.ReadFile(dir + "/cmdline")
		args := strings.Split(string(line), "\x00")
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if err == nil && len(args) > 2 && hosts[namespace] != "" && lives(pid) {
			all[args[2]] = append(all[args[2]], runner{hosts[namespace], pid})
		}
	}
	return all
}

// awaitRunners waits until each profile runs as often as want says: once or not at all.
func (f *fleet) awaitRunners(want map[string]int) {
	f.t.Helper()
	awaitMoves(f.t, func() error {
		all := f.runners()
		var wrong []string
		for _, p := range f.profiles {
			if len(all[p]) != want[p] {
				wrong = append(wrong, fmt.Sprintf("%s is to run %d times: %v", p, want[p], all[p]))
			}
		}
		if len(wrong) > 0 {
			return fmt.Errorf("%s\n%s", strings.Join(wrong, "\n"), f.describe())
		}
		return nil
	})
}

// allOnce returns what awaitRunners wants for a fleet all of whose gateways are to run.
func (f *fleet) allOnce() map[string]int {
	want := map[string]int{}
	for _, p := range f.profiles {
		want[p] = 1
	}
	return want
}

// describe returns the output of hermes-svstat in each container.
func (f *fleet) describe() string {
	var b strings.Builder
	for _, c := range f.members {
		if c.cmd != nil {
			out, _ := c.exec(false, "hermes-svstat", "-o", "name,pid,wantedup")
			fmt.Fprintf(&b, "%s:\n%s", c.host(), out)
		}
	}
	return b.String()
}

// A gatewayState is a line of hermes-svstat --json.
type gatewayState struct {
	Name    string
	Up      bool
	Standby bool
	PID     int
	Desired string `json:"desired_state"`
}

// states returns the output of hermes-svstat --json in c, by name.
func (c *container) states() (map[string]gatewayState, error) {
	out, code := c.exec(false, "hermes-svstat", "--json")
	return parseStates(out, code)
}

func parseStates(out string, code int) (map[string]gatewayState, error) {
	if code > 1 || code < 0 {
		return nil, fmt.Errorf("hermes-svstat: exit code %d", code)
	}
	all := map[string]gatewayState{}
	for line := range strings.Lines(out) {
		var s gatewayState
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		all[s.Name] = s
	}
	return all, nil
}

// awaitRoles waits until each gateway runs in the container that where returns, and stands by
// in all other members.
func (f *fleet) awaitRoles(members []*container, where func(profile string) *container) {
	f.t.Helper()
	awaitMoves(f.t, func() error {
		var wrong []string
		for _, c := range members {
			states, err := c.states()
			if err != nil {
				return err
			}
			for _, p := range f.profiles {
				if s := states[p]; !s.Up || s.Standby == (where(p) == c) {
					wrong = append(wrong, fmt.Sprintf("%s of %s: %+v", p, c.host(), s))
				}
			}
		}
		if len(wrong) > 0 {
			return errors.New(strings.Join(wrong, "\n"))
		}
		return nil
	})
}

// supervisor returns the pid, in our namespace, of the s6-supervise of a profile's gateway in
// c, 0 if there is none at the moment.
func (c *container) supervisor(profile string) int {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", c.pid))
	for _, child := range strings.Fields(string(children)) {
		line, _ := os.ReadFile("/proc/" + child + "/cmdline")
		if string(line) == "s6-supervise\x00gateway-"+profile+"\x00" {
			pid, _ := strconv.Atoi(child)
			return pid
		}
	}
	return 0
}

// slay kills process pid, which must be a valid pid.
func slay(pid int) {
	if pid > 1 { // smaller values would mean all processes
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// everywhere runs a command in all members at once, and returns the exit codes.
func (f *fleet) everywhere(args ...string) []int {
	codes := make([]int, len(f.members))
	var all sync.WaitGroup
	for i, c := range f.members {
		all.Add(1)
		go func() {
			defer all.Done()
			_, codes[i] = c.exec(false, args...)
		}()
	}
	all.Wait()
	return codes
}

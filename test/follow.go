//go:build linux

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

// follow boots a container on home. Its reconciler prunes after a second, and looks at all
// profiles only when told to.
func follow(t *testing.T, home string, env ...string) *container {
	t.Helper()
	c := newContainer(t, home, append([]string{"HERMES_FOLLOW_INTERVAL=86400", "HERMES_PRUNE_DELAY=1000"}, env...)...)
	c.boot()
	c.awaitFollower()
	return c
}

// awaitFollower waits until the reconciler has looked at all profiles once.
func (c *container) awaitFollower() {
	c.t.Helper()
	c.await(false, "true\n", "/command/s6-svstat", "-o", "ready", reconciler)
}

const reconciler = "/run/service/reconciler"

// follower returns the pid of the reconciler, in the container.
func (c *container) follower() string {
	c.t.Helper()
	out, _ := c.exec(false, "/command/s6-svstat", "-o", "pid", reconciler)
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil || pid <= 1 {
		c.t.Fatalf("the reconciler is down: %q", out)
	}
	return strconv.Itoa(pid)
}

// did returns the actions that the reconciler has reported for profile name.
func (c *container) did(name string) (actions []string) {
	c.t.Helper()
	line := regexp.MustCompile(`(?m)^reconcile: profile=` + regexp.QuoteMeta(name) + ` .*action=([a-z]+)`)
	for _, m := range line.FindAllStringSubmatch(readFile(c.t, c.path("/run/log")), -1) {
		actions = append(actions, m[1])
	}
	return actions
}

// warnings returns the reconciler's other messages.
func (c *container) warnings() (said []string) {
	c.t.Helper()
	for line := range strings.Lines(readFile(c.t, c.path("/run/log"))) {
		if strings.HasPrefix(line, "hermes-reconcile: ") {
			said = append(said, line)
		}
	}
	return said
}

// saysTimes returns how often the reconciler has printed text, a pattern.
func (c *container) saysTimes(text string) int {
	c.t.Helper()
	line := regexp.MustCompile(text)
	n := 0
	for _, said := range c.warnings() {
		if line.MatchString(said) {
			n++
		}
	}
	return n
}

// awaitSays waits until the reconciler has printed text, a pattern, that many times.
func (c *container) awaitSays(times int, text string) {
	c.t.Helper()
	s6test.Await(c.t, func() error {
		if n := c.saysTimes(text); n < times {
			return fmt.Errorf("%q was said %d times, want %d: %q", text, n, times, c.warnings())
		}
		return nil
	})
}

// looked waits until the reconciler has looked at everything that happened before: until it
// has made a slot for a profile that is made now.
func (c *container) looked(marker string) {
	c.t.Helper()
	addProfile(c.t, c.home, marker, "")
	c.must(false, "/command/s6-svc", "-h", reconciler)
	c.await(false, marker+"\n", "hermes-svstat", "-o", "name", marker)
	s6test.Await(c.t, func() error {
		if did := c.did(marker); len(did) == 0 {
			return fmt.Errorf("%s: %v", marker, did)
		}
		return nil
	})
}

// awaitNo waits until profile name has no slot.
func (c *container) awaitNo(name string) {
	c.t.Helper()
	s6test.Await(c.t, func() error {
		if _, err := os.Lstat(c.path("/run/service/gateway-" + name)); err == nil {
			return fmt.Errorf("%s has its slot: %v", name, c.did(name))
		}
		return nil
	})
}

// awaitUp waits until the gateway of profile name is up, and has done all that it does in its
// profile, and returns its pid.
func (c *container) awaitUp(name string) (pid string) {
	c.t.Helper()
	s6test.Await(c.t, func() error {
		pid = c.gateway(name)
		says, _ := os.ReadFile(filepath.Join(c.profileDir(name), "gateway.pid"))
		if pid == "" || pid == "-1\n" || pid != string(says) {
			return fmt.Errorf("%s: pid %q, it says %q", name, pid, says)
		}
		return nil
	})
	return pid
}

// gateway returns the pid of a profile's gateway and a newline, -1 if it is down.
func (c *container) gateway(name string) string {
	c.t.Helper()
	pid, _ := c.exec(false, "hermes-svstat", "-o", "pid", name)
	return pid
}

// asked returns the record of a profile that a test writes by hand.
func asked(port int) map[string]string {
	return map[string]string{
		"gateway_service.json": fmt.Sprintf(`{"version": 1, "port": %d, "env": {"TOKEN": "of %d"}}`, port, port),
		"gateway_state.json":   `{"desired_state":"running"}`,
		"SOUL.md":              "",
	}
}

// stage makes a directory with files outside of profiles/, owned by the account.
func stage(t *testing.T, home, name string, files map[string]string) (path string) {
	t.Helper()
	for file, text := range files {
		putFile(t, accountUID, home, filepath.Join("staged", name, file), text)
	}
	return filepath.Join(home, "staged", name)
}

// profileDir returns the host's name of a profile's directory.
func (c *container) profileDir(name string) string {
	if name == "default" {
		return c.home
	}
	return filepath.Join(c.home, "profiles", name)
}

// lapse waits, for tests that are about a delay.
func lapse(d time.Duration) { time.Sleep(d) }

// desire records what is wanted of profile name, as another container would.
func (c *container) desire(name, state string) {
	c.t.Helper()
	replaceFile(c.t, filepath.Join(c.profileDir(name), "gateway_state.json"), `{"desired_state":"`+state+`"}`)
}

// replaceFile renames a new file over path, owned by the account.
func replaceFile(t *testing.T, path, text string) {
	t.Helper()
	must.Do(t, os.WriteFile(path+".of-test", []byte(text), 0o644))
	must.Do(t, os.Chown(path+".of-test", accountUID, accountUID))
	must.Do(t, os.Rename(path+".of-test", path))
}

// A consumption is what the reconciler consumes.
type consumption struct {
	processor          time.Duration // since it was started
	rss, fds, watching int           // rss in KB
}

// consumes measures the reconciler.
func (c *container) consumes() (u consumption) {
	c.t.Helper()
	proc := c.path("/proc/" + c.follower())
	_, rest, _ := strings.Cut(readFile(c.t, proc+"/stat"), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		c.t.Fatalf("stat: %q", rest)
	}
	for _, ticks := range fields[11:13] { // utime and stime, in units of 1/100 s
		n, err := strconv.Atoi(ticks)
		must.Do(c.t, err)
		u.processor += time.Duration(n) * 10 * time.Millisecond
	}
	u.rss, u.fds = usageOf(proc)
	infos, _ := filepath.Glob(proc + "/fdinfo/*")
	for _, info := range infos {
		text, _ := os.ReadFile(info)
		u.watching += strings.Count(string(text), "inotify wd:")
	}
	return u
}

// usageOf is usage of the process with the procfs directory proc.
func usageOf(proc string) (rss, fds int) {
	status, _ := os.ReadFile(proc + "/status")
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	if f := strings.Fields(rest); len(f) > 0 {
		rss, _ = strconv.Atoi(f[0])
	}
	open, _ := os.ReadDir(proc + "/fd")
	return rss, len(open)
}

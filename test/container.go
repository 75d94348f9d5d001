//go:build linux

package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-s6/lib/must"
)

// A container is a test container: its own PID, mount and UTS namespaces, s6-svscan as PID 1,
// our rootfs and binaries, and a home that outlives it. Its host name is dir's base name.
type container struct {
	t    *testing.T
	dir  string // its own directory; upper/ below it is laid over lower
	home string // the host's name of /opt/data
	env  []string
	// under are words before the commands that run in it: what denies them system calls.
	under []string
	cmd   *exec.Cmd
	pid   int // of its PID 1, in our namespace
}

// lower is what containers are laid over: the host's root, or a smaller one.
var lower = "/"

// newContainer prepares a container on home, with what we install. If there are no namespaces
// it skips the test, and says so where `make test` shows it.
func newContainer(t *testing.T, home string, env ...string) *container {
	t.Helper()
	c := newBareContainer(t, home, env...)
	c.install()
	return c
}

// newBareContainer is newContainer without anything of ours in it.
func newBareContainer(t *testing.T, home string, env ...string) *container {
	t.Helper()
	needSource(t)
	if os.Geteuid() != 0 {
		leaveOut(t, "a container needs root")
	}
	dir, err := os.MkdirTemp("", "hermes-container-")
	must.Do(t, err)
	const probe = `cd "$0" && mount -t tmpfs none . && cd "$0" && mkdir u w r && mount -t overlay -o "lowerdir=/,upperdir=$0/u,workdir=$0/w" none r`
	if out, err := exec.Command("unshare", "-m", "-p", "-u", "-f", "sh", "-c", probe, dir).CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		leaveOut(t, "no namespaces with an overlay here: %s", bytes.TrimSpace(out))
	}
	c := &container{t: t, dir: dir, home: home, env: env}
	t.Cleanup(func() { c.kill(); os.RemoveAll(dir) })
	c.furnish()
	return c
}

// furnish fills upper/: /command, the harness, the account.
func (c *container) furnish() {
	c.t.Helper()
	upper := c.upper()
	for _, d := range []string{"command", "harness", "etc", "usr/bin", "opt/hermes/.venv/bin"} {
		c.check(os.MkdirAll(filepath.Join(upper, d), 0o755))
	}
	for _, pattern := range []string{"/usr/bin/s6-*", "/usr/lib/execline/bin/*"} {
		programs, _ := filepath.Glob(pattern)
		for _, p := range programs {
			c.check(os.Symlink(p, filepath.Join(upper, "command", filepath.Base(p))))
		}
	}
	for _, f := range []string{"init", "rc.init"} {
		c.copy(filepath.Join("testdata/container", f), filepath.Join(upper, "harness", f))
	}
	for _, f := range []string{"with-contenv", "printcontenv", "s6-pause"} {
		_ = os.Remove(filepath.Join(upper, "command", f))
		c.copy(filepath.Join("testdata/container", f), filepath.Join(upper, "command", f))
	}
	c.check(writeGateway(c.hermes(), dashboard, enters, records, behaves))
	for file, line := range map[string]string{
		"passwd": fmt.Sprintf("hermes:x:%d:%d::/opt/data/home:/bin/sh\n", accountUID, accountUID),
		"group":  fmt.Sprintf("hermes:x:%d:\n", accountUID),
	} {
		data, err := os.ReadFile("/etc/" + file)
		c.check(err)
		// First, because this machine may have an account of that name.
		c.check(os.WriteFile(filepath.Join(upper, "etc", file), append([]byte(line), data...), 0o644))
	}
}

// install adds what make install does.
func (c *container) install() {
	c.t.Helper()
	run(c.t, "cp", "-R", "--preserve=mode", "rootfs/etc/.", filepath.Join(c.upper(), "etc"))
	bin := static(c.t)
	ours, err := filepath.Glob(filepath.Join(bin, "hermes-*"))
	c.check(err)
	for _, path := range ours {
		c.copy(path, filepath.Join(c.upper(), "usr/bin", filepath.Base(path)))
	}
}

// host returns its host name.
func (c *container) host() string { return filepath.Base(c.dir) }

// upper returns the directory that is laid over the host's root.
func (c *container) upper() string { return filepath.Join(c.dir, "upper") }

// hermes returns the path of the gateway's program.
func (c *container) hermes() string { return filepath.Join(c.upper(), "opt/hermes/.venv/bin/hermes") }

func (c *container) check(err error) {
	c.t.Helper()
	must.Do(c.t, err)
}

func (c *container) copy(from, to string) {
	c.t.Helper()
	data, err := os.ReadFile(from)
	c.check(err)
	c.check(os.WriteFile(to, data, 0o755))
}

// boot starts the container and waits until its init scripts have run successfully.
func (c *container) boot(command ...string) {
	c.t.Helper()
	c.start(command...)
	for line := range strings.Lines(c.said()) {
		if !strings.HasSuffix(line, "exited 0\n") && strings.HasPrefix(line, "cont-init: ") {
			c.t.Errorf("%s", c.said())
		}
	}
}

// said returns what the init scripts have printed.
func (c *container) said() string {
	out, _ := os.ReadFile(c.path("/run/boot.out"))
	return string(out)
}

// start is boot for a container whose scripts may fail.
func (c *container) start(command ...string) {
	c.t.Helper()
	args := append([]string{"-m", "-p", "-u", "-f", "--kill-child", "testdata/container/enter", c.dir, c.home}, command...)
	words := append(slices.Clone(c.under), "unshare")
	c.cmd = exec.Command(words[0], append(words[1:], args...)...)
	c.cmd.Env = append([]string{"LOWER=" + lower, "PATH=" + os.Getenv("PATH"), "HERMES_HOME=/opt/data", "S6_STAGE2_HOOK=/etc/s6-overlay/stage2-hook"}, c.env...)
	said := filepath.Join(c.dir, "stderr")
	stderr, err := os.Create(said)
	c.check(err)
	defer stderr.Close()
	c.cmd.Stderr = stderr
	c.check(c.cmd.Start())
	awaitMoves(c.t, func() error {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", c.cmd.Process.Pid))
		if err != nil {
			return fmt.Errorf("%w: %s", err, readFile(c.t, said))
		}
		if c.pid, err = strconv.Atoi(strings.TrimSpace(string(children))); err != nil {
			return fmt.Errorf("%w: %s", err, readFile(c.t, said))
		}
		_, err = os.Stat(c.path("/run/booted"))
		if err != nil {
			// With a thousand profiles, for a long time nothing changes but the supervisors.
			processes, _ := os.ReadDir(c.path("/proc"))
			return fmt.Errorf("%w: %s%s%d in /proc", err, readFile(c.t, said), c.said(), len(processes))
		}
		return nil
	})
}

// path returns the host's name of a file in the container.
func (c *container) path(name string) string { return fmt.Sprintf("/proc/%d/root%s", c.pid, name) }

// kill kills PID 1, and with it the whole container.
func (c *container) kill() {
	if c.cmd == nil {
		return
	}
	if c.pid > 0 { // 0 would mean ourselves
		_ = syscall.Kill(c.pid, syscall.SIGKILL)
	}
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	c.cmd = nil
}

// stop ends the container as docker stop does: with SIGTERM to PID 1, which brings its
// services down and exits.
func (c *container) stop() {
	c.t.Helper()
	c.stopWithin(hang)
}

// stopWithin is stop, with SIGKILL after grace: a gateway without its supervisor keeps the
// pipe to its logger open, which keeps s6-svscan from exiting.
func (c *container) stopWithin(grace time.Duration) {
	c.t.Helper()
	pid := c.pid
	c.check(syscall.Kill(pid, syscall.SIGTERM))
	ended := make(chan struct{})
	go func() {
		_ = c.cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(grace):
		slay(pid)
		<-ended
	}
	c.cmd = nil
}

// exec runs a command in the container as docker exec does, with a bare PATH, as root or, with
// user set, as the account. It returns stdout and the exit code.
func (c *container) exec(user bool, args ...string) (string, int) {
	c.t.Helper()
	stdout, stderr, code := c.try(user, args...)
	if stderr != "" {
		c.t.Logf("%v: %s", args, stderr)
	}
	return stdout, code
}

// command is what exec runs.
func (c *container) command(user bool, args ...string) *exec.Cmd {
	words := append(slices.Clone(c.under), "nsenter", "-t", strconv.Itoa(c.pid), "-m", "-p", "-u", "-r", "-w")
	if user {
		words = append(words, "-S", strconv.Itoa(accountUID), "-G", strconv.Itoa(accountUID))
	}
	cmd := exec.Command(words[0], append(words[1:], args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HERMES_HOME=/opt/data"}
	return cmd
}

// try is exec for a command that may fail. If the container ends meanwhile, the command fails
// with exit code -1 or 1.
func (c *container) try(user bool, args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	cmd := c.command(user, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) {
		c.t.Fatal(err)
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

// must is exec for a command that has to succeed; otherwise the test ends.
func (c *container) must(user bool, args ...string) {
	c.t.Helper()
	if out, code := c.exec(user, args...); code != 0 {
		c.t.Fatalf("%v: exit code %d: %s", args, code, out)
	}
}

// awaitStatus waits until hermes-svstat -o name,wantedup,up prints want.
func (c *container) awaitStatus(want string) {
	c.t.Helper()
	c.await(false, want, "hermes-svstat", "-o", "name,wantedup,up")
}

// await waits until a command, run as exec runs it, prints want.
func (c *container) await(user bool, want string, args ...string) {
	c.t.Helper()
	awaitOutput(c.t, want, func() string {
		got, _ := c.exec(user, args...)
		return got
	})
}

// awaitRegistrar waits until the registrar serves the account.
func (c *container) awaitRegistrar() {
	c.t.Helper()
	c.await(false, "true\n", "/command/s6-svstat", "-o", "ready", "/run/service/registrar")
}

// shell runs script with sh in the container, as the account or as root, for a minute at most,
// and returns all that it prints.
func (c *container) shell(user bool, script string) string {
	c.t.Helper()
	out, code := c.exec(user, "timeout", "60", "sh", "-c", "exec 2>&1\n"+script)
	if code == 124 {
		out += "(not done in a minute)\n"
	}
	return out
}

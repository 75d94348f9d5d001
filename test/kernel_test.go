//go:build linux

package test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/fence"
	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

// newCalls are system calls that old kernels have not, and seccomp filters which do not know
// them refuse: with ENOSYS, or with EPERM as Docker's did before 20.10.
var newCalls = []string{
	"clone3", "close_range", "copy_file_range", "faccessat2", "fchmodat2", "inotify_add_watch", "inotify_init1",
	"openat2", "pidfd_open", "pidfd_send_signal", "renameat2", "statx",
}

// denials are what containers run under: each call refused, all of them, and what sandboxes
// and file systems say besides. Alone a call is refused by EPERM, and by ENOSYS with
// -fault-step 1 only: our programs take both alike.
func denials() (all [][]string) {
	together := map[string][]string{}
	for _, call := range newCalls {
		for _, errno := range []string{"ENOSYS", "EPERM"} {
			if call+errno == "clone3EPERM" {
				continue // a newer C library starts nothing then, ours or not
			}
			if errno == "EPERM" || *faultStep == 1 {
				all = append(all, []string{call + "=" + errno})
			}
			together[errno] = append(together[errno], call+"="+errno)
		}
	}
	return append(all, together["ENOSYS"], together["EPERM"],
		[]string{"renameat2=EINVAL", "inotify_init1=EMFILE"}, []string{"inotify_add_watch=ENOSPC", "pidfd_send_signal=ENOSYS"})
}

// TestOldKernel has a container do all its work under each of these: init scripts, s6 and
// gateways included. Where inotify is refused, that is said once.
func TestOldKernel(t *testing.T) {
	deny := filepath.Join(scratch, "deny")
	needSource(t)
	must.Do(t, build(deny, "./testdata/deny"))
	if out, err := exec.Command(deny, "openat2=EPERM", "true").CombinedOutput(); err != nil {
		leaveOut(t, "no seccomp filter here: %v: %s", err, out)
	}
	for _, denied := range denials() {
		name := denied[0]
		if len(denied) > 2 {
			name = "all " + name[strings.Index(name, "=")+1:]
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			home := newHomeFor(t)
			addProfile(t, home, "coder", `{"desired_state":"running"}`)
			c := newContainer(t, home, "HERMES_FOLLOW_INTERVAL=1", "HERMES_PRUNE_DELAY=100", restless)
			c.under = []string{deny, strings.Join(denied, ",")}
			c.boot()
			for line := range strings.Lines(c.said()) {
				if !strings.HasPrefix(line, "cont-init: ") && !strings.HasPrefix(line, "reconcile: ") {
					t.Errorf("an init script says: %s", line)
				}
			}
			c.awaitFollower()
			c.awaitRegistrar()
			c.works()
			want := 0
			if slices.ContainsFunc(denied, func(d string) bool { return strings.HasPrefix(d, "inotify") }) {
				want = 1
			}
			if n := c.saysTimes("cannot watch all of the home"); n != want || len(c.warnings()) != want {
				t.Errorf("the reconciler says: %q", c.warnings())
			}
			c.stop()
		})
	}
}

// inTime is for commands that others hold up, on a busy machine.
const inTime = "--timeout=60000"

// works has each program do what it is for, with a gateway coder up.
func (c *container) works() {
	t := c.t
	c.awaitUp("coder")
	states := followBy(t, c.command(true, "hermes-svstat", "--follow", "--json"))
	logs := spoutBy(t, c.command(true, "hermes-logs", "-f"))
	t.Cleanup(c.kill) // before they are waited for: what nsenter has started outlives it
	states.await("coder", `"up":true`)

	addProfile(t, c.home, "writer", `{"desired_state":"running"}`)
	c.awaitUp("writer")
	states.await("writer", `"up":true`)
	logs.awaitHas(t, "up: -p writer")
	c.must(true, "hermes-svc", "restart", "--wait", inTime, "writer")
	c.must(true, "hermes-svc", "stop", "--wait", inTime, "writer")
	states.await("writer", `"desired_state":"stopped"`)
	c.must(true, "hermes-svc-register", "--replace", "--env", "A=b", "--dialect", "execline", "writer") // by the registrar
	c.must(true, "hermes-svc", "start", "--wait", inTime, "writer")

	c.takesOver(states)
	c.breaks()
	c.leavesNothing()

	must.Do(t, os.RemoveAll(c.profileDir("writer")))
	c.awaitNo("writer")
	states.await("writer", `"removed"`)
	c.must(false, "hermes-svc-unregister", "coder", "writer")
	if left, _ := filepath.Glob(c.path("/run/service/*gateway-[^d]*")); len(left) > 0 { // but for default's
		t.Errorf("left: %q", left)
	}
}

// takesOver has another process wait for coder's fence, and get it.
func (c *container) takesOver(states *svstatFollower) {
	t := c.t
	if out, code := c.exec(true, "hermes-fence", "--no-wait", "coder", "true"); code != 1 {
		t.Errorf("the fence was not held: exit code %d: %s", code, out)
	}
	c.must(true, "hermes-fence", "--holder", "coder")
	other := spoutBy(t, c.command(true, "hermes-fence", "coder", "sh", "-c", "echo $$ >/opt/data/other; echo has it; exec sleep 100000"))
	t.Cleanup(c.kill)
	s6test.Await(t, func() error {
		if said := other.stderr.String(); !strings.Contains(said, "stands by") {
			return fmt.Errorf("it says %q", said)
		}
		return nil
	})
	c.must(false, "kill", "-9", strings.TrimSpace(c.gateway("coder")))
	other.awaitHas(t, "has it")
	states.await("coder", `"standby":true`)
	c.must(false, "sh", "-c", "kill -9 $(cat /opt/data/other)")
	c.awaitUp("coder")
	states.await("coder", `"standby":false`)
}

// breaks has writer's gateway break the lock of a previous life of its container.
func (c *container) breaks() {
	t := c.t
	c.must(true, "hermes-svc", "stop", "--wait", inTime, "writer")
	path := filepath.Join(c.profileDir("writer"), fence.File)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must.Do(t, err)
	defer f.Close()
	must.Do(t, f.Truncate(0))
	_, err = fmt.Fprintf(f, `{"host":%q,"pid":%d,"start_time":1,"since":"2026-01-01T00:00:00Z"}`+"\n", c.host(), 1<<22+1)
	must.Do(t, err)
	must.Do(t, unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}))
	c.must(true, "hermes-svc", "start", "--wait", inTime, "writer")
	c.awaitUp("writer")
	if log := readFile(t, filepath.Join(c.home, "logs/gateways/writer/current")); !strings.Contains(log, "its lock is broken") {
		t.Errorf("the lock was not broken:\n%s", log)
	}
}

// leavesNothing unregisters a gateway that has left a process in a session of its own.
func (c *container) leavesNothing() {
	c.must(false, "hermes-svc-register", "--wait", inTime, "--command", `sh -c "setsid sleep 100001 & exec sleep 100000"`, "loner")
	c.await(false, "1\n", "pgrep", "-c", "-x", "-f", "sleep 100001")
	_, said, code := c.try(false, "hermes-svc-unregister", "loner")
	if code != 0 || !strings.Contains(said, "killed what the gateway left running") {
		c.t.Errorf("unregister: exit code %d: %s", code, said)
	}
	c.await(false, "0\n", "pgrep", "-c", "-x", "-f", "sleep 100001")
}

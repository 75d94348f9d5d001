//go:build linux

package test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

// killSupervisors kills s6-svscan and every supervisor. The gateways run on.
func killSupervisors(t *testing.T, tree *s6test.Svscan) {
	t.Helper()
	tree.Kill()
	for _, p := range tree.Processes() {
		if strings.HasPrefix(p.Command, "s6-supervise ") {
			must.Do(t, syscall.Kill(p.PID, syscall.SIGKILL))
			s6test.Await(t, func() error {
				if err := syscall.Kill(p.PID, 0); err == nil {
					return s6test.ErrNot
				}
				return nil
			})
		}
	}
}

// TestUnregisterOrphan: a gateway whose supervisors were killed does not outlive its slot.
func TestUnregisterOrphan(t *testing.T) {
	p, tree := newTree(t)
	p.run(t, 0, "hermes-svc-register", "--wait", "coder")
	killSupervisors(t, tree)
	p.run(t, 0, "hermes-svc-unregister", "coder")
	awaitOutput(t, "[]", func() string { return fmt.Sprint(tree.Processes()) })
}

// beside runs, through command, a shell that waits as p's account, with the environment of a
// gateway of coder.
func beside(t *testing.T, p place, command ...string) (pid int) {
	t.Helper()
	ready := filepath.Join(p.home, "beside")
	cmd := exec.Command(command[0], append(command[1:], "setpriv", "--reuid", p.account, "--clear-groups",
		"sh", "-c", `echo $$ >"$0.new"; mv "$0.new" "$0"; while :; do sleep 1000; done`, ready)...)
	cmd.Env = append(p.env(), "HERMES_GATEWAY_SLOT="+filepath.Join(p.scan, "gateway-coder"), "HERMES_S6_SUPERVISED_CHILD=1")
	must.Do(t, cmd.Start())
	t.Cleanup(func() {
		if pid > 0 { // 0 would mean ourselves
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitForFile(t, ready)
	pid, err := strconv.Atoi(strings.TrimSpace(readFile(t, ready)))
	must.Do(t, err)
	_ = os.Remove(ready)
	return pid
}

// TestUnregisterBeside kills a supervisor. The gateway that s6-svscan starts anew runs beside
// the one that is left, and both go when it is unregistered, even if root may not trace
// processes, as in a container. Processes that only seem to be of the same slot stay: of
// another profile with the same port, at a user's terminal, and of another container.
func TestUnregisterBeside(t *testing.T) {
	if os.Geteuid() != 0 {
		leaveOut(t, "other accounts and namespaces need root")
	}
	p, tree := newTree(t)
	p.run(t, 0, "hermes-svc-register", "--wait", "--port", "4000", "coder")
	p.run(t, 0, "hermes-svc-register", "--wait", "--port", "4000", "writer")
	first, writer := p.pid(t, "coder"), p.pid(t, "writer")
	for _, process := range tree.Processes() {
		if process.Command == "s6-supervise gateway-coder" {
			_ = syscall.Kill(process.PID, syscall.SIGKILL)
		}
	}
	second := 0
	s6test.Await(t, func() error {
		out, _ := p.command("hermes-svstat", "-o", "pid", "coder").Output()
		if second, _ = strconv.Atoi(strings.TrimSpace(string(out))); second <= 0 || second == first || !lives(second) {
			return s6test.ErrNot
		}
		return nil
	})
	spared := map[string]int{
		"the other profile's gateway": writer,
		"who sits at a terminal":      beside(t, p, "python3", "-c", "import pty, sys; pty.spawn(sys.argv[1:])"),
		"another container's":         beside(t, p, "unshare", "-m", "sh", "-ec", `mount -t tmpfs none "$0"; exec "$@"`, p.scan),
	}
	if !lives(first) {
		t.Fatal("the first gateway is gone")
	}
	p.run(t, 0, "setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "hermes-svc-unregister", "coder")
	for _, pid := range []int{first, second} {
		if lives(pid) {
			t.Errorf("a gateway is left: %d of %d and %d", pid, first, second)
		}
	}
	for what, pid := range spared {
		if !lives(pid) {
			t.Errorf("%s was killed", what)
		}
	}
}

// TestUnregisterAdopted: a slot whose supervisors are left from a killed s6-svscan goes
// without delay, although the present s6-svscan cannot control them. That also holds without a
// timeout, and if only the logger's supervisor is left.
func TestUnregisterAdopted(t *testing.T) {
	for _, left := range []string{"both", "the logger's"} {
		t.Run(left, func(t *testing.T) {
			p := newPlace(t)
			tree, err := s6test.Run(p.scan, p.env())
			must.Do(t, err)
			// It stays down: a gateway whose supervisor is killed would run on, which is not
			// the subject here.
			p.run(t, 0, "hermes-svc-register", "--down", "coder")
			tree.Kill()
			for _, process := range tree.Processes() {
				if left != "both" && process.Command == "s6-supervise gateway-coder" {
					_ = syscall.Kill(process.PID, syscall.SIGKILL)
				}
			}
			tree = s6test.Start(t, p.scan, p.env())
			if left != "both" {
				s6test.Await(t, func() error {
					return exec.Command("s6-svok", filepath.Join(p.scan, "gateway-coder")).Run()
				})
			}
			ctx, cancel := context.WithTimeout(context.Background(), s6test.Patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, "hermes-svc-unregister", "--timeout", "0", "coder")
			cmd.Env = p.env()
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v: %s", err, out)
			}
			noneLeft(t, tree)
		})
	}
}

// TestUnregisterSparesStrangers: a process that merely has the pid that was the gateway's is
// not killed in its place.
func TestUnregisterSparesStrangers(t *testing.T) {
	p := newPlace(t)
	stranger := exec.Command("sleep", "100000")
	stranger.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	must.Do(t, stranger.Start())
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	tree := s6test.Start(t, p.scan, p.env())
	p.run(t, 0, "hermes-svc-register", "--wait", "coder")
	pid := p.pid(t, "coder")
	killSupervisors(t, tree)
	_ = syscall.Kill(pid, syscall.SIGKILL)

	// The stranger is older than the gateway was, by more than the tolerance of two seconds.
	status := filepath.Join(p.scan, "gateway-coder/supervise/status")
	data, err := os.ReadFile(status)
	must.Do(t, err)
	binary.BigEndian.PutUint64(data[24:], uint64(stranger.Process.Pid))
	binary.BigEndian.PutUint64(data, binary.BigEndian.Uint64(data)-3600)
	must.Do(t, os.WriteFile(status, data, 0o644))
	p.run(t, 0, "hermes-svc-unregister", "coder")
	if !lives(stranger.Process.Pid) {
		t.Error("the stranger was killed")
	}
}

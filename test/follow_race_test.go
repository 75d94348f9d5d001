//go:build linux

package test

import (
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

// TestFollowSupervisorReturns has a gateway's supervisor start after the follower has seen
// that there is none, and before the follower has changed ./down. The supervisor acts on the
// old ./down, and is told of the change nevertheless.
func TestFollowSupervisorReturns(t *testing.T) {
	needStrace(t)
	p, tree := newTree(t)
	p.gateway(t)
	p.addProfile(t, "one", `{"desired_state":"running"}`)
	p.run(t, 0, "hermes-reconcile") // so that the follower has nothing to make
	state := filepath.Join(p.home, "profiles/one/gateway_state.json")
	service := filepath.Join(p.scan, "gateway-one")
	// It makes a directory to take hold of the profile, and is stopped just after that.
	cmd := p.command("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=mkdirat",
		"-e", "inject=mkdirat:delay_exit=5000000", "-P", filepath.Join(p.scan, ".gateway-one"), "-P", ".gateway-one", "hermes-reconcile", "--follow")
	out, err := os.Create(filepath.Join(p.dir, "out"))
	must.Do(t, err)
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	must.Do(t, cmd.Start())
	t.Cleanup(func() {
		endTraced(cmd)
		if t.Failed() {
			t.Log(readFile(t, out.Name()))
		}
	})
	up := func() error {
		if got, _ := p.command("s6-svstat", "-o", "up", service).Output(); string(got) != "true\n" {
			return fmt.Errorf("up: %q", got)
		}
		return nil
	}
	s6test.Await(t, up)
	hold := filepath.Join(p.scan, ".gateway-one")
	s6test.Await(t, func() error { return noFile(hold) })

	pid := p.pid(t, "one")
	supervisor := parentOf(t, pid)
	must.Do(t, syscall.Kill(tree.PID(), syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(tree.PID(), syscall.SIGCONT) })
	for _, each := range []int{supervisor, pid} {
		slay(each)
		s6test.Await(t, func() error {
			if lives(each) {
				return fmt.Errorf("%d lives", each)
			}
			return nil
		})
	}
	must.Do(t, os.WriteFile(state, []byte(`{"desired_state":"stopped"}`), 0o644))
	waitForFile(t, hold)
	must.Do(t, syscall.Kill(tree.PID(), syscall.SIGCONT))
	s6test.Await(t, func() error {
		if _, err := os.Lstat(filepath.Join(service, "down")); err == nil {
			t.Skip("the supervisor has come too late for what is to be shown")
		}
		return up()
	})
	s6test.Await(t, func() error {
		got, _ := p.command("s6-svstat", "-o", "up,wantedup,normallyup", service).Output()
		if string(got) != "false false false\n" {
			return fmt.Errorf("up, wanted up, normally up: %q, want it stopped", got)
		}
		return nil
	})
}

// noFile returns nil if there is nothing at path.
func noFile(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s is there", path)
	}
	return nil
}

// endTraced ends the program that a strace runs, and with it the strace.
func endTraced(cmd *exec.Cmd) {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
	for _, child := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = cmd.Wait()
}

// parentOf returns the pid of pid's parent.
func parentOf(t *testing.T, pid int) int {
	t.Helper()
	_, rest, _ := strings.Cut(readFile(t, fmt.Sprintf("/proc/%d/stat", pid)), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		t.Fatalf("stat: %q", rest)
	}
	parent, err := strconv.Atoi(fields[1])
	must.Do(t, err)
	if parent <= 1 {
		t.Fatalf("%d is nobody's child", pid)
	}
	return parent
}

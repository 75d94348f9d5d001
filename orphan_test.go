//go:build linux

package hermes_test

import (
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hermes-s6/lib/s6/s6test"
)

// killSupervisors kills s6-svscan and every supervisor; the gateways run on.
func killSupervisors(t *testing.T, tree *s6test.Svscan) {
	t.Helper()
	tree.Kill()
	for _, p := range tree.Processes() {
		if strings.HasPrefix(p.Command, "s6-supervise ") {
			if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			s6test.Await(t, func() error {
				if err := syscall.Kill(p.PID, 0); err == nil {
					return s6test.ErrNot
				}
				return nil
			})
		}
	}
}

// TestUnregisterOrphan shows that a gateway whose supervisors were killed does
// not outlive its slot.
func TestUnregisterOrphan(t *testing.T) {
	p := newPlace(t)
	tree := s6test.Start(t, p.scan, p.env())
	p.run(t, 0, "hermes-svc-register", "--wait", "coder")
	killSupervisors(t, tree)
	p.run(t, 0, "hermes-svc-unregister", "coder")
	s6test.Await(t, func() error {
		if len(tree.Processes()) > 0 {
			return s6test.ErrNot
		}
		return nil
	})
}

// TestUnregisterAdopted shows that a slot whose supervisors are left from an
// s6-svscan that was killed goes without ado, though the s6-svscan of today has no
// say over them: also where there is no limit to wait for, and where the logger's
// alone is left.
func TestUnregisterAdopted(t *testing.T) {
	for _, left := range []string{"both", "the logger's"} {
		t.Run(left, func(t *testing.T) {
			p := newPlace(t)
			tree, err := s6test.Run(p.scan, p.env())
			if err != nil {
				t.Fatal(err)
			}
			// It stays down: a gateway whose supervisor is killed runs on,
			// and that is not the matter here.
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
			if ps := tree.Processes(); len(ps) > 0 {
				t.Errorf("processes are left: %v", ps)
			}
		})
	}
}

// TestUnregisterSparesStrangers shows that a process which merely has the pid
// that was the gateway's is not killed in its place.
func TestUnregisterSparesStrangers(t *testing.T) {
	p := newPlace(t)
	stranger := exec.Command("sleep", "100000")
	stranger.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	tree := s6test.Start(t, p.scan, p.env())
	p.run(t, 0, "hermes-svc-register", "--wait", "coder")
	pid, err := strconv.Atoi(strings.TrimSpace(p.run(t, 0, "hermes-svstat", "-o", "pid", "coder")))
	if err != nil {
		t.Fatal(err)
	}
	killSupervisors(t, tree)
	_ = syscall.Kill(pid, syscall.SIGKILL)

	// The stranger is older than the gateway was by more than the two
	// seconds that are taken for the same.
	status := filepath.Join(p.scan, "gateway-coder/supervise/status")
	data, err := os.ReadFile(status)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint64(data[24:], uint64(stranger.Process.Pid))
	binary.BigEndian.PutUint64(data, binary.BigEndian.Uint64(data)-3600)
	if err := os.WriteFile(status, data, 0o644); err != nil {
		t.Fatal(err)
	}
	p.run(t, 0, "hermes-svc-unregister", "coder")
	if err := syscall.Kill(stranger.Process.Pid, 0); err != nil {
		t.Errorf("the stranger: %v", err)
	}
	if state, _ := os.ReadFile("/proc/" + strconv.Itoa(stranger.Process.Pid) + "/stat"); strings.Contains(string(state), ") Z ") {
		t.Error("the stranger was killed")
	}
}

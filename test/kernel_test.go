//go:build linux

package test

import (
	"slices"
	"testing"
)

// newCalls are system calls that old kernels have not, and seccomp filters which do not know
// them refuse: with ENOSYS, or with EPERM as Docker's did before 20.10.
var newCalls = []string{"openat2", "renameat2", "pidfd_open", "pidfd_send_signal", "inotify_init1", "statx", "faccessat2", "close_range"}

// TestOldKernel has each command do its work where one of these calls is refused always.
func TestOldKernel(t *testing.T) {
	needStrace(t)
	p, tree := newTree(t)
	p.bin = static(t)
	p.addProfile(t, "coder", "")
	p.gateway(t, records)
	steps := [][]string{
		{"hermes-svc-register", "--wait", "coder"},
		{"hermes-svc-register", "--keep", "coder"},
		{"hermes-svc-register", "--replace", "--env", "A=b", "coder"},
		{"hermes-svc", "restart", "coder"},
		{"hermes-svstat", "--check", "coder"},
		{"hermes-logs", "coder"},
		{"hermes-svc", "stop", "--wait", "coder"},
		{"hermes-reconcile"},
		{"hermes-svc", "start", "--wait", "coder"},
		{"hermes-svc-unregister", "coder"},
		{"hermes-reconcile", "--prune"}, // makes the slot again
		{"hermes-svc-unregister", "--all"},
	}
	for _, call := range newCalls {
		for _, err := range []string{"ENOSYS", "EPERM"} {
			for _, args := range steps {
				tr := p.strace(t, args, "-e", "trace="+call, "-e", "inject="+call+":error="+err, "--seccomp-bpf")
				if tr.code != 0 || tr.hung {
					t.Errorf("%s %s: %v: exit code %d: %s", call, err, args, tr.code, tr.stderr)
				}
			}
			if left := p.listing(t); !slices.Equal(left, []string{".s6-svscan"}) {
				t.Fatalf("%s %s: left: %v", call, err, left)
			}
		}
	}
	noneLeft(t, tree)
}

//go:build linux

package hermes_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// The benchmarks time whole processes on a tmpfs, and report the peak of their
// memory. docs/performance.md says how to run them and what came out.

// tools builds what is measured: hermes-reconcile as it is shipped, and the C
// program that it is measured against.
func tools(b *testing.B) (reconcile, slots string) {
	b.Helper()
	dir := b.TempDir()
	reconcile, slots = filepath.Join(dir, "hermes-reconcile"), filepath.Join(dir, "slots")
	for _, args := range [][]string{
		{"go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-o", reconcile, "./cmd/hermes-reconcile"},
		{"cc", "-O2", "-o", slots, "testdata/bench/slots.c"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	return reconcile, slots
}

// homeOf makes a home with n profiles, every second one running.
func homeOf(b *testing.B, p place, n int) {
	b.Helper()
	account, err := testAccount()
	if err != nil {
		b.Fatal(err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	for i := range n {
		dir := filepath.Join(p.home, "profiles", fmt.Sprintf("p%d", i))
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "SOUL.md"), nil, 0o644)
		}
		if err == nil && i%2 == 0 {
			err = os.WriteFile(filepath.Join(dir, "gateway_state.json"), []byte(`{"desired_state":"running"}`), 0o644)
		}
		if err == nil {
			err = os.Chown(dir, uid, gid)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// newTmpfsPlace is newPlace on a tmpfs, with no other profiles than those of
// homeOf.
func newTmpfsPlace(b *testing.B, n int) place {
	b.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "hermes-")
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	account, err := furnish(dir)
	if err != nil {
		b.Fatal(err)
	}
	p := place{dir, filepath.Join(dir, "scan"), filepath.Join(dir, "home"), account.Username}
	for _, name := range []string{"coder", "writer"} {
		os.RemoveAll(filepath.Join(p.home, "profiles", name))
	}
	homeOf(b, p, n)
	return p
}

// empty empties the scan directory, as a restart does, and forgets what was
// recorded of the profiles, as of fresh ones.
func (p place) empty(b *testing.B) {
	b.Helper()
	if err := os.RemoveAll(p.scan); err != nil {
		b.Fatal(err)
	}
	records, _ := filepath.Glob(filepath.Join(p.home, "profiles/*/gateway_service.json"))
	for _, r := range records {
		if err := os.Remove(r); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.Mkdir(p.scan, 0o755); err != nil {
		b.Fatal(err)
	}
}

// measure runs the command b.N times, with before run untimed ahead of each.
func measure(b *testing.B, before func(), command func() *exec.Cmd) {
	b.Helper()
	var peak int64
	for b.Loop() {
		b.StopTimer()
		before()
		cmd := command()
		b.StartTimer()
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	}
	b.ReportMetric(float64(peak)/1024, "peak-MB")
}

// BenchmarkReconcile measures a boot: n fresh profiles, and then a second run
// with nothing to do; C makes the same slots with the bare system calls.
func BenchmarkReconcile(b *testing.B) {
	reconcile, slots := tools(b)
	gid := strconv.Itoa(os.Getegid())
	if account, err := testAccount(); err == nil {
		gid = account.Gid
	}
	for _, n := range []int{1000, 2000, 10000} {
		p := newTmpfsPlace(b, n)
		ours := func() *exec.Cmd { return p.command(reconcile) }
		b.Run(fmt.Sprintf("C/%d", n), func(b *testing.B) {
			measure(b, func() { p.empty(b) }, func() *exec.Cmd { return exec.Command(slots, p.scan, strconv.Itoa(n), gid) })
		})
		b.Run(fmt.Sprintf("fresh/%d", n), func(b *testing.B) {
			measure(b, func() { p.empty(b) }, ours)
		})
		b.Run(fmt.Sprintf("again/%d", n), func(b *testing.B) {
			p.empty(b)
			if out, err := ours().CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
			measure(b, func() {}, ours)
		})
		os.RemoveAll(p.dir)
	}
}

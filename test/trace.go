//go:build linux

package test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hermes-s6/lib/must"
)

// A trace is a run of one of our programs under strace, including the s6 programs that it runs.
type trace struct {
	lines  []string
	code   int // -1: killed
	stderr string
	hung   bool
}

// strace runs args, which begin with a program of ours, with options of strace's.
func (p place) strace(t *testing.T, args []string, options ...string) (tr trace) {
	t.Helper()
	log := filepath.Join(p.dir, "trace")
	options = append([]string{"-f", "-o", log}, options...)
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, "strace", append(append(options, filepath.Join(p.bin, args[0])), args[1:]...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// Run one thread at a time, without preemption, so that each run makes the same calls.
	cmd.Env = append(p.env(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	_ = cmd.Run()
	data, err := os.ReadFile(log)
	must.Do(t, err)
	return trace{strings.Split(string(data), "\n"), cmd.ProcessState.ExitCode(), stderr.String(), ctx.Err() != nil}
}

// inject runs args and makes the n-th of their calls named call fail with err, or for kill
// replaces that call with SIGKILL. strace counts by thread, so several calls can be the n-th.
func (p place) inject(t *testing.T, args []string, call, err string, n int) trace {
	t.Helper()
	options := []string{"-e", "trace=" + call, "-e"}
	at := ":when=" + strconv.Itoa(n)
	if err == kill {
		options = append(options, "inject="+call+":signal=SIGKILL"+at)
	} else {
		// With a seccomp filter for strace, the other calls do not stop. But with a signal
		// strace injects nothing then.
		options = append(options, "inject="+call+":error="+err+at, "--seccomp-bpf")
	}
	return p.strace(t, args, options...)
}

const kill = "kill"

// injected returns how many faults there were.
func (tr trace) injected() (n int) {
	for _, line := range tr.lines {
		if strings.HasSuffix(line, "(INJECTED)") {
			n++
		}
	}
	if n == 0 && strings.Contains(strings.Join(tr.lines, "\n"), "+++ killed by SIGKILL") {
		n = 1
	}
	return n
}

// calls returns which calls were made, and for each one the largest number that a thread made.
func (tr trace) calls() map[string]int {
	threads := map[string]int{}
	most := map[string]int{}
	for _, line := range tr.lines {
		pid, rest, _ := strings.Cut(line, " ")
		name, _, ok := strings.Cut(strings.TrimLeft(rest, " "), "(")
		if !ok || strings.ContainsAny(name, " <+-") {
			continue // the end of a call, a signal, an exit
		}
		threads[pid+name]++
		most[name] = max(most[name], threads[pid+name])
	}
	return most
}

// needStrace skips the test if strace is missing or may not trace.
func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("%v: run `make deps`", err)
	}
	if err := exec.Command("strace", "-o", "/dev/null", "true").Run(); err != nil {
		leaveOut(t, "strace cannot trace here: %v", err)
	}
}

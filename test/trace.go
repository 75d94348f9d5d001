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

// A trace is a run of a program of ours under strace, s6's programs that it runs
// included.
type trace struct {
	lines  []string
	code   int // -1: killed
	stderr string
	hung   bool
}

// strace runs args, a program of ours first, with options of strace's.
func (p place) strace(t *testing.T, args []string, options ...string) (tr trace) {
	t.Helper()
	log := filepath.Join(p.dir, "trace")
	options = append([]string{"-f", "-o", log}, options...)
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, "strace", append(append(options, filepath.Join(p.bin, args[0])), args[1:]...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// A thread at a time, and none interrupted: the same calls each time.
	cmd.Env = append(p.env(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	_ = cmd.Run()
	data, err := os.ReadFile(log)
	must.Do(t, err)
	return trace{strings.Split(string(data), "\n"), cmd.ProcessState.ExitCode(), stderr.String(), ctx.Err() != nil}
}

// inject runs args with the n-th of their calls called call failed with err, or with
// SIGKILL in place of it. strace counts by thread: it can be the n-th of several.
func (p place) inject(t *testing.T, args []string, call, err string, n int) trace {
	t.Helper()
	options := []string{"-e", "trace=" + call, "-e"}
	at := ":when=" + strconv.Itoa(n)
	if err == kill {
		options = append(options, "inject="+call+":signal=SIGKILL"+at)
	} else {
		// The other calls do not stop where seccomp filters for strace. With a
		// signal it injects nothing then.
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

// calls returns which calls were made, and how many times by the thread that made
// the most of each.
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

// needStrace leaves the test out where strace is missing or may not trace.
func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("%v: run `make deps`", err)
	}
	if err := exec.Command("strace", "-o", "/dev/null", "true").Run(); err != nil {
		leaveOut(t, "strace cannot trace here: %v", err)
	}
}

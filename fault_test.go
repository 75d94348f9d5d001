//go:build linux

package hermes_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"hermes-s6/lib/s6/s6test"
)

// faultStep is for short runs: after the first few of a kind, which many commands
// make no more of, every how manieth is failed.
var faultStep = flag.Int("fault-step", 17, "fail every how manieth system call (1: each)")

const firstFew = 3

// faults are the calls that are failed, one at a time, and how. "kill" is SIGKILL
// instead of the call.
var faults = map[string][]string{
	"openat":            {"EACCES", "EMFILE", "EIO", "EINTR", "kill"},
	"openat2":           {"EACCES", "EMFILE", "EIO", "EINTR", "kill"},
	"mkdirat":           {"ENOSPC", "EACCES", "kill"},
	"mknodat":           {"ENOSPC", "EACCES", "kill"},
	"write":             {"ENOSPC", "EIO", "EINTR", "kill"},
	"fchmod":            {"EPERM", "EIO", "kill"},
	"fchown":            {"EPERM", "EIO", "kill"},
	"fchownat":          {"EPERM", "EIO", "kill"},
	"renameat":          {"ENOSPC", "EACCES", "EIO", "kill"},
	"renameat2":         {"ENOSPC", "EACCES", "EIO", "EINVAL", "kill"},
	"unlinkat":          {"EACCES", "EIO", "kill"},
	"flock":             {"EINTR", "EIO", "ENOLCK", "kill"},
	"fsync":             {"EIO", "ENOSPC", "kill"},
	"newfstatat":        {"EACCES", "EIO"},
	"fstat":             {"EIO"},
	"read":              {"EIO", "EINTR", "kill"},
	"getdents64":        {"EIO", "kill"},
	"inotify_init1":     {"EMFILE"},
	"inotify_add_watch": {"ENOSPC"},
}

// A faulty is a command whose calls are failed: in which state of a live tree it
// runs, and what is to be true when it has been run again without a fault.
type faulty struct {
	name   string
	before [][]string
	args   []string
	again  []int // exit codes of the second run
	after  func(t *testing.T, p place)
}

func supervised(name, up string) func(*testing.T, place) {
	return func(t *testing.T, p place) {
		t.Helper()
		s6test.Await(t, func() error {
			cmd := p.command("hermes-svstat", "-o", "name,up", name)
			out, _ := cmd.Output()
			if string(out) != name+" "+up+"\n" {
				return fmt.Errorf("status %q, want %s %s", out, name, up)
			}
			return nil
		})
	}
}

var faultys = []faulty{
	{"register", nil, []string{"hermes-svc-register", "--env", "A=b", "coder"}, []int{0, 101}, supervised("coder", "true")},
	{"replace", [][]string{{"hermes-svc-register", "--wait", "coder"}}, []string{"hermes-svc-register", "--replace", "--port", "4000", "--env", "A=b", "coder"}, []int{0}, supervised("coder", "true")},
	{"unregister", [][]string{{"hermes-svc-register", "--wait", "coder"}}, []string{"hermes-svc-unregister", "coder"}, []int{0}, func(t *testing.T, p place) {
		t.Helper()
		if names := p.listing(t); !slices.Equal(names, []string{".s6-svscan"}) {
			t.Errorf("left: %v", names)
		}
	}},
	{"stop", [][]string{{"hermes-svc-register", "--wait", "coder"}}, []string{"hermes-svc", "stop", "--wait", "coder"}, []int{0}, supervised("coder", "false")},
	{"restart", [][]string{{"hermes-svc-register", "--wait", "coder"}}, []string{"hermes-svc", "restart", "coder"}, []int{0}, supervised("coder", "true")},
	{"reconcile", [][]string{{"hermes-svc-register", "--down", "writer"}}, []string{"hermes-reconcile", "--prune"}, []int{0}, func(t *testing.T, p place) {
		t.Helper()
		supervised("coder", "false")(t, p)
		supervised("writer", "false")(t, p)
	}},
}

// codesOfTable are all exit codes that a command may have; 128+9 is strace's word
// for a killed one.
var codesOfTable = []int{0, 1, 99, 100, 101, 102, 110, 111, 127}

// TestFaults fails each system call of each command in turn, or kills the command
// there. After each: the exit code is one of the table's, one line says what failed,
// every slot is whole, no file of the home is cut off, and the next run without a
// fault finishes the job and leaves nothing. At the end nothing of the tree is left.
func TestFaults(t *testing.T) {
	needStrace(t)
	if _, err := static(); err != nil {
		t.Fatal(err)
	}
	var mutex sync.Mutex
	tried := map[string]map[string]int{}
	t.Run("fail", func(t *testing.T) {
		for _, f := range faultys {
			for call, errs := range faults {
				t.Run(f.name+"/"+call, func(t *testing.T) {
					t.Parallel()
					n := f.failAll(t, call, errs)
					mutex.Lock()
					defer mutex.Unlock()
					if tried[call] == nil {
						tried[call] = map[string]int{}
					}
					tried[call][f.name] += n
				})
			}
		}
	})
	t.Log(faultTable(tried))
}

// faultTable has a line for each call and a column for each command.
func faultTable(tried map[string]map[string]int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "faults injected, each survived (of each kind of call the first %d, then every %d.):\n%-18s", firstFew, *faultStep, "")
	for _, f := range faultys {
		fmt.Fprintf(&b, "%12s", f.name)
	}
	total := 0
	calls := make([]string, 0, len(tried))
	for call := range tried {
		calls = append(calls, call)
	}
	slices.Sort(calls)
	for _, call := range calls {
		fmt.Fprintf(&b, "\n%-18s", call)
		for _, f := range faultys {
			fmt.Fprintf(&b, "%12d", tried[call][f.name])
			total += tried[call][f.name]
		}
	}
	fmt.Fprintf(&b, "\n%d in all\n", total)
	return b.String()
}

// failAll fails call with each of errs at each place where f makes it, and returns
// how many faults that were.
func (f faulty) failAll(t *testing.T, call string, errs []string) (count int) {
	p := newPlace(t)
	tree := s6test.Start(t, p.scan, p.env())
	for _, err := range errs {
		for n := 1; ; n = next(n) {
			if !f.fail(t, p, call, err, n) {
				break
			}
			count++
			if t.Failed() {
				t.Fatalf("%s at %s number %d", err, call, n)
			}
		}
	}
	p.run(t, 0, "hermes-svc-unregister", "--all")
	if ps := tree.Processes(); len(ps) > 0 {
		t.Errorf("processes are left: %v", ps)
	}
	return count
}

func next(n int) int {
	if n < firstFew {
		return n + 1
	}
	return n + *faultStep
}

// fail runs f once with a fault and once without; false where there was no such
// call any more.
func (f faulty) fail(t *testing.T, p place, call, err string, n int) bool {
	t.Helper()
	p.run(t, 0, "hermes-svc-unregister", "--all")
	p.run(t, 0, "/bin/sh", "-ec", `rm -rf "$0"/logs "$0"/profiles/*/gateway* "$0"/profiles/*/.[!.]* "$0"/gateway*`, p.home)
	for _, args := range f.before {
		p.run(t, 0, args[0], args[1:]...)
	}
	bin, _ := static()
	trace := filepath.Join(p.dir, "trace")
	how := "error=" + err
	if err == "kill" {
		how = "signal=SIGKILL"
	}
	cmd := p.command("strace", append([]string{"-f", "-o", trace, "-e", "trace=" + call, "-e", "inject=" + call + ":" + how + ":when=" + strconv.Itoa(n), filepath.Join(bin, f.args[0])}, f.args[1:]...)...)
	cmd.Env = append(cmd.Env, "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	data, e := os.ReadFile(trace)
	if e != nil {
		t.Fatal(e)
	}
	injected := bytes.Contains(data, []byte("(INJECTED)")) || bytes.Contains(data, []byte("killed by SIGKILL"))
	said := stderr.String()
	code := cmd.ProcessState.ExitCode()
	switch {
	case strings.Contains(said, "fatal error: runtime: "):
		// Go's own pipes to itself do not fail but here: as good as a kill.
	case strings.Contains(said, "goroutine "):
		t.Errorf("it panicked: %s", said)
	case code >= 0 && !slices.Contains(codesOfTable, code) && err != "kill":
		t.Errorf("exit code %d: %s", code, said)
	case code > 1 && err != "kill" && bytes.Count(data, []byte("(INJECTED)")) == 1 && !strings.Contains(said, ": fatal: "):
		// strace counts by thread: with a second fault the message may be lost.
		t.Errorf("exit code %d, and nothing is said: %q", code, said)
	}
	contents(t, p.scan)
	checkHome(t, p)
	again := p.command(f.args[0], f.args[1:]...)
	out, _ := again.CombinedOutput()
	if got := again.ProcessState.ExitCode(); !slices.Contains(f.again, got) {
		t.Errorf("exit code %d (%s), and %d the next time: %s", code, said, got, out)
	}
	f.after(t, p)
	for _, name := range p.listing(t) {
		if name != ".s6-svscan" && !strings.HasPrefix(name, "gateway-") {
			t.Errorf("left: %s", name)
		}
	}
	return injected
}

// needStrace leaves the test out where strace is missing or may not trace.
func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("%v: run `make deps`", err)
	}
	if err := exec.Command("strace", "-o", "/dev/null", "true").Run(); err != nil {
		note("%s: left out: strace cannot trace here: %v", t.Name(), err)
		t.Skip("strace cannot trace here")
	}
}

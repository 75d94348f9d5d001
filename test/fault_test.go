//go:build linux

package test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/fence"
	"hermes-s6/lib/s6/s6test"
)

// faultStep makes short runs inject only every n-th fault of each call, and at least one.
var faultStep = flag.Int("fault-step", 60, "inject every how manieth fault of each system call (1: each)")

// errnos are the errors that each call is made to fail with.
var errnos = []string{kill, "EIO", "EACCES", "ENOSPC", "EMFILE", "EINTR"}

// errnosOf are additional errors for some calls.
var errnosOf = map[string][]string{
	"clone":         {"EAGAIN", "ENOMEM"},
	"clone3":        {"EAGAIN", "ENOMEM"},
	"execve":        {"ENOENT", "ENOMEM", "ETXTBSY"},
	"fchmod":        {"EPERM"},
	"fchown":        {"EPERM"},
	"fchownat":      {"EPERM"},
	"flock":         {"ENOLCK"},
	"inotify_init1": {"ENOSYS"},
	"openat2":       {"ENOSYS", "EPERM", "EAGAIN"},
	"pidfd_open":    {"ENOSYS"},
	"renameat2":     {"EINVAL", "ENOSYS"},
}

// An exception is a call that is not made to fail in each way at each place.
type exception struct {
	errnos []string // none: it is never made to fail
	places int      // 0: each
	why    string
}

// exceptions are the exceptions, by call. Calls of the Go runtime and the C library are made
// before main, or whenever the scheduler gets to them: no two runs make the same ones.
var exceptions = func() map[string]exception {
	all := map[string]exception{
		"close": {[]string{kill}, 0, "killed only: a close that fails closes all the same (close(2)), and strace's does not"},
	}
	for _, call := range []string{"getuid", "geteuid", "setfsuid", "setfsgid"} {
		all[call] = exception{[]string{kill}, 0, "killed only: never fails (geteuid(2), setfsuid(2))"}
	}
	for _, call := range []string{"exit", "exit_group", "rt_sigreturn"} {
		all[call] = exception{why: "not tried: does not return"}
	}
	for _, call := range []string{
		"arch_prctl", "brk", "futex", "gettid", "madvise", "mmap", "mprotect", "munmap", "nanosleep", "pread64", "rseq",
		"rt_sigaction", "rt_sigprocmask", "sched_getaffinity", "sched_yield", "set_robust_list", "set_tid_address", "sigaltstack",
	} {
		all[call] = exception{errnos, 3, "the first 3 of a thread: the runtime's own"}
	}
	return all
}()

// A faulty is a command whose calls are made to fail.
type faulty struct {
	name string
	// home is what is in the home besides two profiles, by path.
	home map[string]string
	// before brings a tree into the state in which args run: from nothing, or if fresh is not
	// set, from the state that args left it in.
	before [][]string
	fresh  bool
	args   []string
	again  []int // exit codes of the run after the fault
	// done holds after args have run; then there are that many processes.
	done      func(p place) error
	processes int
	// always holds, whatever failed.
	always func(p place) error
}

// signed checks that the fence of coder names its last holder, or no holder if that could not
// be written.
func signed(p place) error {
	text, err := os.ReadFile(filepath.Join(p.home, "profiles/coder", fence.File))
	if err == nil && len(text) > 0 && !(bytes.HasPrefix(text, []byte(`{"host":"`)) && bytes.HasSuffix(text, []byte("}\n"))) {
		err = fmt.Errorf("fence: %q", text)
	}
	return err
}

// isUp checks whether profile name's gateway is up.
func isUp(name string, up bool) func(place) error {
	return func(p place) error {
		out, _ := p.command("s6-svstat", "-o", "up", filepath.Join(p.scan, "gateway-"+name)).Output()
		if want := fmt.Sprintln(up); string(out) != want {
			return fmt.Errorf("%s is up: %q, want %q", name, out, want)
		}
		return nil
	}
}

func both(a, b func(place) error) func(place) error {
	return func(p place) error {
		if err := a(p); err != nil {
			return err
		}
		return b(p)
	}
}

// absent checks that profile name has no slot.
func absent(name string) func(place) error {
	return func(p place) error {
		if _, err := os.Lstat(filepath.Join(p.scan, "gateway-"+name)); err == nil {
			return fmt.Errorf("%s has a slot", name)
		}
		return nil
	}
}

// asRecorded checks that a slot matches the record, and that a profile whose gateway is not to
// run by itself, according to the home's configuration, does not run.
func asRecorded(p place) error {
	run, err := os.ReadFile(filepath.Join(p.scan, "gateway-writer/run"))
	if err == nil && !bytes.Contains(run, []byte("KEY=value")) && !bytes.Contains(run, []byte("OLD=1")) {
		return fmt.Errorf("the slot of writer is not of its record:\n%s", run)
	}
	if _, err := os.Stat(filepath.Join(p.scan, "gateway-coder")); err == nil {
		_, err := os.Stat(filepath.Join(p.scan, "gateway-coder/down"))
		if err != nil {
			return fmt.Errorf("coder is to start: %w", err)
		}
	}
	return nil
}

var live = [][]string{{"hermes-svc-register", "--replace", "--wait", "coder"}}

var faultys = []faulty{
	{name: "restart", before: live, args: []string{"hermes-svc", "restart", "coder"}, done: isUp("coder", true), processes: 4},
	{name: "reconcile", fresh: true,
		home: map[string]string{
			"config.yaml":                        "multiplex_profiles: true\n",
			"profiles/coder/gateway_state.json":  `{"desired_state":"running","kept":1}` + "\n",
			"profiles/writer/gateway.pid":        "1\n",
			"profiles/writer/gateway_state.json": `{"desired_state":"stopped","kept":1}` + "\n",
		},
		before: [][]string{
			{"hermes-svc-register", "--down", "--env", "OLD=1", "writer"},
			{"hermes-svc-register", "--down", "ghost"},
			{"/bin/sh", "-ec", `cd "$HERMES_HOME/profiles/writer"; sed s/OLD/KEY/ gateway_service.json | sed 's/"1"/"value"/' >new; cat new >gateway_service.json; rm new`},
		},
		// A profile whose state cannot be read counts as one that was not to run, and then
		// default does not start for it. Otherwise it does, as the ten processes show.
		args: []string{"hermes-reconcile", "--prune"}, done: both(both(isUp("coder", false), isUp("writer", false)), absent("ghost")), processes: 10, always: asRecorded},
	{name: "register", fresh: true, args: []string{"hermes-svc-register", "--down", "--env", "A=b", "coder"}, again: []int{101}, done: isUp("coder", false), processes: 3},
	{name: "replace", before: live, args: []string{"hermes-svc-register", "--replace", "--port", "4000", "--env", "A=b", "coder"}, done: isUp("coder", true), processes: 4},
	{name: "unregister", before: live, args: []string{"hermes-svc-unregister", "coder"}, done: absent("coder")},
	{name: "start", fresh: true, args: []string{"hermes-svc", "start", "--wait", "coder"}, done: isUp("coder", true), processes: 4},
	{name: "fence", args: []string{"hermes-fence", "coder", "hermes-detect", "--version"}, done: signed},
	{name: "stop", fresh: true, before: live, args: []string{"hermes-svc", "stop", "--wait", "coder"}, done: isUp("coder", false), processes: 3},
}

// codesOfTable are all exit codes that a command may have.
var codesOfTable = []int{0, 1, 99, 100, 101, 102, 110, 111, 127}

// A faultReport is the results of the faults, by call and command.
type faultReport struct {
	sync.Mutex
	made, tried map[string]map[string]int
	kills       int
	runtimes    int // faults that Go's runtime did not survive
}

// TestFaults makes each system call of each command fail in turn, or kills the command there.
// After each fault it checks that the exit code is one of the table's, one line says what
// failed, after 0 the job is done, every slot is complete, no file of the home is lost or
// truncated, and the next run without a fault finishes the job and leaves only the expected
// processes. A run without a fault shows which calls there are.
func TestFaults(t *testing.T) {
	needSource(t)
	needStrace(t)
	r := &faultReport{made: map[string]map[string]int{}, tried: map[string]map[string]int{}}
	t.Run("fail", func(t *testing.T) {
		for _, f := range faultys {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				f.failAll(t, r)
			})
		}
	})
	t.Log(r)
	if !t.Failed() && r.kills < 10 {
		t.Errorf("only %d kills: is anything being killed?", r.kills)
	}
}

// failAll makes the calls of f fail, on several trees: some wait while others work.
func (f faulty) failAll(t *testing.T, r *faultReport) {
	const trees = 8
	calls := f.calls(t)
	names := slices.Sorted(maps.Keys(calls))
	for i := range trees {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			p := newFaultyPlace(t)
			tree := s6test.Start(t, p.scan, p.env())
			f.prepare(t, p, true)
			for k := i; k < len(names) && !t.Failed(); k += trees {
				call := names[k]
				n := f.failCall(t, r, p, tree, call, calls[call])
				r.add(r.made, call, f.name, calls[call])
				r.add(r.tried, call, f.name, n)
			}
			p.run(t, 0, "hermes-svc-unregister", "--all")
			noneLeft(t, tree)
		})
	}
}

func (r *faultReport) add(to map[string]map[string]int, call, command string, n int) {
	r.Lock()
	defer r.Unlock()
	if to[call] == nil {
		to[call] = map[string]int{}
	}
	to[call][command] += n
}

// String has a line for each call and a column for each command.
func (r *faultReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "faults injected, each survived:\n%-20s", "")
	for _, f := range faultys {
		fmt.Fprintf(&b, "%11s", f.name)
	}
	total, calls := 0, 0
	for _, call := range slices.Sorted(maps.Keys(r.made)) {
		fmt.Fprintf(&b, "\n%-20s", call)
		of := 0
		for _, f := range faultys {
			fmt.Fprintf(&b, "%11d", r.tried[call][f.name])
			of += r.tried[call][f.name]
		}
		if total += of; of > 0 {
			calls++
		}
		if e := exceptions[call]; e.why != "" {
			fmt.Fprintf(&b, "  %s", e.why)
		}
	}
	fmt.Fprintf(&b, "\n%d faults of %d calls", total, calls)
	if *faultStep > 1 {
		fmt.Fprintf(&b, " (of the faults of each call every %d., and one at the least)", *faultStep)
	}
	fmt.Fprintf(&b, "; %d of them kills, and in %d Go's runtime gave up, which is as good\n", r.kills, r.runtimes)
	return b.String()
}

// newFaultyPlace makes a place where a gateway starts at once. Its programs are built as they
// are shipped, because the test binary, which could run them itself, has a runtime for tests.
func newFaultyPlace(t *testing.T) place {
	t.Helper()
	p := newPlace(t)
	p.bin = static(t)
	p.gateway(t)
	return p
}

// calls returns the calls that f makes, and how often one thread makes each.
func (f faulty) calls(t *testing.T) map[string]int {
	t.Helper()
	p := newFaultyPlace(t)
	tree := s6test.Start(t, p.scan, p.env())
	f.prepare(t, p, true)
	tr := p.strace(t, f.args)
	if tr.code != 0 {
		t.Fatalf("%s without a fault: exit code %d: %s", f.name, tr.code, tr.stderr)
	}
	f.check(t, p, tree)
	p.run(t, 0, "hermes-svc-unregister", "--all")
	return tr.calls()
}

// failCall injects faults into call, which has that many places, and returns how many it injected.
func (f faulty) failCall(t *testing.T, r *faultReport, p place, tree *s6test.Svscan, call string, places int) (count int) {
	errs := slices.Concat(errnos, errnosOf[call])
	if e, ok := exceptions[call]; ok {
		errs = e.errnos
		if e.places > 0 {
			places = min(places, e.places)
		}
	}
	all := places * len(errs)
	for i := min(*faultStep, all) / 2; i < all; i += *faultStep {
		// Another error each time, even if not all are used.
		n, err := i/len(errs), errs[(i+i/len(errs)+len(call))%len(errs)]
		began := time.Now()
		if f.fail(t, r, p, tree, call, err, n+1) {
			count++
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Logf("%s of %s, number %d, took %v", err, call, n+1, took.Round(time.Millisecond))
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	return count
}

// prepare brings p into the state that f runs in.
func (f faulty) prepare(t *testing.T, p place, first bool) {
	t.Helper()
	if f.fresh || first {
		p.run(t, 0, "hermes-svc-unregister", "--all")
		// These also make a difference if they are missing.
		_ = os.RemoveAll(filepath.Join(p.home, "logs"))
		for _, pattern := range []string{"gateway*", ".*", "profiles/*/gateway*", "profiles/*/.*"} {
			files, _ := filepath.Glob(filepath.Join(p.home, pattern))
			for _, file := range files {
				_ = os.Remove(file)
			}
		}
		putFile(t, p.uid, p.home, "profiles/coder/gateway_state.json", `{"kept":1}`+"\n")
		for path, text := range f.home {
			putFile(t, p.uid, p.home, path, text)
		}
	}
	for _, args := range f.before {
		p.run(t, 0, args[0], args[1:]...)
	}
}

// fail runs f once with a fault and once without. It returns false if there was no such call
// any more.
func (f faulty) fail(t *testing.T, r *faultReport, p place, tree *s6test.Svscan, call, err string, n int) bool {
	t.Helper()
	var tr trace
	defer func() {
		if t.Failed() { // even if the test has ended in here
			t.Logf("this was %s of %s, number %d: exit code %d: %s", err, call, n, tr.code, tr.stderr)
		}
	}()
	f.prepare(t, p, false)
	tr = p.inject(t, f.args, call, err, n)
	switch {
	case tr.hung:
		t.Errorf("it hangs: %s", tr.stderr)
	case strings.Contains(tr.stderr, "panic: "):
		t.Errorf("it panicked: %s", tr.stderr)
	case err == kill:
		r.Lock()
		r.kills += tr.injected()
		r.Unlock()
	case tr.code == 2 || tr.code == -1:
		r.Lock()
		r.runtimes++
		r.Unlock()
	case !slices.Contains(codesOfTable, tr.code):
		t.Errorf("exit code %d: %s", tr.code, tr.stderr)
	case tr.code != 0 && tr.injected() == 1 && !saysWhy(tr.stderr, err):
		// With a second fault the message may be about the other one.
		t.Errorf("exit code %d, and %s is not said: %q", tr.code, err, tr.stderr)
	case tr.code == 0:
		s6test.Await(t, func() error { return f.done(p) })
	}
	contents(t, p.scan)
	checkHome(t, p)
	f.checkAlways(t, p)
	again := p.command(f.args[0], f.args[1:]...)
	out, _ := again.CombinedOutput()
	if got := again.ProcessState.ExitCode(); got != 0 && !slices.Contains(f.again, got) {
		t.Errorf("exit code %d (%s), and %d the next time: %s", tr.code, tr.stderr, got, out)
	}
	if f.name == "reconcile" && strings.Contains(tr.stderr, `profile "coder": `) {
		// Without coder nothing said that default is to start, so default's slot is down.
		// A second run changes that, and starts nothing that has a slot.
		p.run(t, 0, "hermes-svc", "start", "--wait", "default")
	}
	if f.args[0] == "hermes-svc" {
		p.run(t, 0, "hermes-svc-register", "--keep", "coder") // the commands that make slots clean up
	}
	f.check(t, p, tree)
	return tr.injected() > 0
}

// saysWhy reports whether messages contain one that says what failed, and that errno was the
// reason. If an s6 program cannot be loaded, the message is its loader's.
func saysWhy(messages, errno string) bool {
	if !strings.Contains(messages, ": fatal: ") {
		return false
	}
	for e := syscall.Errno(1); e < 134; e++ {
		if unix.ErrnoName(e) == errno {
			return strings.Contains(strings.ToLower(messages), e.Error()) || strings.Contains(messages, "while loading shared libraries")
		}
	}
	return false
}

// check fails the test if f has not done its job, or left anything.
func (f faulty) check(t *testing.T, p place, tree *s6test.Svscan) {
	t.Helper()
	s6test.Await(t, func() error {
		if err := f.done(p); err != nil {
			return err
		}
		// A logger that has just been started, or ended, may have a child.
		if ps := tree.Processes(); len(ps) != f.processes {
			return fmt.Errorf("%d processes, want %d: %v", len(ps), f.processes, ps)
		}
		return nil
	})
	f.checkAlways(t, p)
	for _, name := range p.listing(t) {
		if name != ".s6-svscan" && !strings.HasPrefix(name, "gateway-") {
			t.Errorf("left: %s", name)
		}
	}
}

// checkAlways fails the test if something is lost that a fault must not cost.
func (f faulty) checkAlways(t *testing.T, p place) {
	t.Helper()
	for _, name := range []string{"coder", "writer"} {
		if _, err := os.Stat(filepath.Join(p.home, "profiles", name, "SOUL.md")); err != nil {
			t.Error(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(p.home, "profiles/coder/gateway_state.json"))
	var state struct{ Kept int }
	if err == nil {
		err = json.Unmarshal(data, &state)
	}
	if err != nil || state.Kept != 1 {
		t.Errorf("the state is lost: %v: %s", err, data)
	}
	if f.always != nil {
		if err := f.always(p); err != nil {
			t.Error(err)
		}
	}
}

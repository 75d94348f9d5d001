//go:build linux

package test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

var chaosFor = flag.Duration("chaos", 10*time.Second, "how long TestChaos runs")

// chaosProfiles are the profiles that all operations of TestChaos work on. Those of
// chaosGhosts have no directory: they can be registered, and --prune removes them.
var (
	chaosProfiles = []string{"coder", "writer", "c19", "c25", "p4", "p5", "polite", "p0", "ghost8", "ghost9"}
	chaosGhosts   = []string{"ghost8", "ghost9"}
)

const chaosAtOnce = 16

// A chaosOp is one run of a program of ours, and the exit codes it may have.
type chaosOp struct {
	name    string // for the table
	args    []string
	timeout time.Duration
	codes   []int // besides 99 after timeout, and 110 then or while s6-svscan was away
	silent  []int // those of codes that come without a message
}

// chaosDraw returns a random operation.
func chaosDraw(rng *rand.Rand) chaosOp {
	name := func() string { return chaosProfiles[rng.IntN(len(chaosProfiles))] }
	// The short timeout is for 99: it is reached while others are at work.
	timeout := 10 * time.Second
	if rng.IntN(8) == 0 {
		timeout = 100 * time.Millisecond
	}
	ms := fmt.Sprint(timeout.Milliseconds())
	op := func(what string, codes []int, args ...string) chaosOp {
		return chaosOp{name: what, args: append([]string{args[0], "--timeout", ms}, args[1:]...), timeout: timeout, codes: codes}
	}
	// hermes-svc has its verb before its options.
	svc := func(verb string, codes []int, args ...string) chaosOp {
		args = append([]string{"hermes-svc", verb, "--timeout", ms}, args...)
		return chaosOp{name: "svc " + verb, args: args, timeout: timeout, codes: codes}
	}
	register := func(what string, codes []int, args ...string) chaosOp {
		args = append([]string{"hermes-svc-register"}, args...)
		if rng.IntN(3) == 0 {
			args = append(args, "--dialect", "execline")
		}
		return op("register "+what, codes, append(args, name())...)
	}
	switch rng.IntN(20) {
	case 0, 1:
		return register("", []int{0, 101})
	case 2:
		return register("--down", []int{0, 101}, "--down")
	case 3:
		return register("--keep", []int{0}, "--keep")
	case 4:
		return register("--replace", []int{0}, "--replace")
	case 5:
		return register("--replace --env", []int{0}, "--replace", "--env", fmt.Sprint("X=", rng.IntN(3)))
	case 6:
		return register("--replace --port", []int{0}, "--replace", "--port", fmt.Sprint(20000+rng.IntN(20)))
	case 7:
		// 102: another operation has unregistered it during the wait.
		return register("--keep --wait", []int{0, 1, 102, 110}, "--keep", "--wait") // 1: it is stopped
	case 8, 9:
		return op("unregister", []int{0}, "hermes-svc-unregister", name())
	case 10:
		return op("unregister, three", []int{0, 1}, "hermes-svc-unregister", name(), name(), name())
	case 11, 12:
		// 110: another operation has registered it anew, and it has no supervisor yet. 1: the
		// command waited for an ending gateway, to start it again, and it was stopped.
		if rng.IntN(2) == 0 {
			return svc("start", []int{0, 1, 102, 110}, name())
		}
		return svc("stop", []int{0, 102, 110}, name())
	case 13, 14:
		verb := []string{"start", "stop"}[rng.IntN(2)]
		o := svc(verb, []int{0, 1, 102, 110}, "--wait", name())
		o.name += " --wait"
		return o
	case 15:
		return svc("restart", []int{0, 1, 102, 110}, name())
	case 16:
		o := svc([]string{"start", "stop", "restart"}[rng.IntN(3)], []int{0, 1, 102, 110}, "--all")
		o.name += " --all"
		return o
	case 17:
		return op("reconcile", []int{0}, "hermes-reconcile")
	case 18:
		return op("reconcile --prune", []int{0}, "hermes-reconcile", "--prune")
	}
	o := chaosOp{name: "svstat", args: []string{"hermes-svstat"}, codes: []int{0, 1}, silent: []int{1}}
	if rng.IntN(2) == 0 {
		o.name, o.args, o.codes = "svstat NAME", append(o.args, name()), []int{0, 1, 102}
	}
	if rng.IntN(2) == 0 {
		o.args = slices.Insert(o.args, 1, "--json")
	}
	return o
}

// chaosLine is the form of each line of a message. That there is no such gateway needs no WHY.
var chaosLine = regexp.MustCompile(`^hermes-[a-z-]+: ((fatal|warning|info): (\S.*: \S.*|no such gateway '[^']+')|hint: \S.*)$`)

// A chaos is a run of TestChaos.
type chaos struct {
	place
	t *testing.T

	// tree is the present s6-svscan. Its number is odd while it is away. An operation that saw
	// the same even number before and after had an s6-svscan all the time.
	tree   *s6test.Svscan
	number atomic.Int32

	mu       sync.Mutex
	table    map[string]map[int]int // by operation and exit code: how many
	said     map[string]int         // messages, without names and numbers
	failures int
}

// run runs op and checks the result.
func (c *chaos) run(op chaosOp) {
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, op.args[0], op.args[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env(), &stdout, &stderr
	before := c.number.Load()
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began)
	away := before%2 == 1 || c.number.Load() != before
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.fail("%v: %v", op.args, err)
		return
	}
	code := cmd.ProcessState.ExitCode()
	lines := strings.Split(strings.TrimSuffix(stderr.String(), "\n"), "\n")
	fatal := 0
	why := ""
	for _, line := range lines {
		if line != "" && !chaosLine.MatchString(line) {
			why = "a message is not of the form NAME: LEVEL: WHAT: WHY, nor a hint"
		}
		if strings.Contains(line, ": fatal: ") {
			fatal++
		}
	}
	many := strings.HasPrefix(op.name, "reconcile") || slices.Contains(op.args, "--all") || op.name == "unregister, three"
	late := op.timeout > 0 && took >= op.timeout
	switch {
	case ctx.Err() != nil:
		why = "it hangs"
	case slices.Contains(op.codes, code):
	case code == 99 && late:
	case code == 1 && many && (away || late):
	case code == 110 && (away || late): // s6-svscan has not taken it up in time
	default:
		why = "unexplained exit code"
	}
	switch {
	case why != "":
	case code == 0, slices.Contains(op.silent, code):
		if fatal > 0 {
			why = "a failure is said, and none is meant"
		}
	case fatal == 0, fatal > 1 && !many:
		why = "a failure has one message"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.table[op.name] == nil {
		c.table[op.name] = map[int]int{}
	}
	c.table[op.name][code]++
	for _, line := range lines {
		if line != "" {
			c.said[chaosCommon(line)]++
		}
	}
	if why != "" {
		if c.failures++; c.failures <= 10 {
			c.t.Errorf("%v: exit code %d after %v (s6-svscan away: %v): %s\n%s%s", op.args, code, took, away, why, stdout.Bytes(), stderr.Bytes())
		}
	}
}

func (c *chaos) fail(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Errorf(format, args...)
}

var chaosVaries = regexp.MustCompile(`/\S*/|[0-9]+|\b(` + strings.Join(chaosProfiles, "|") + `)\b`)

// chaosCommon returns what line has in common with others of its kind.
func chaosCommon(line string) string { return chaosVaries.ReplaceAllString(line, "*") }

// restart kills s6-svscan and starts another one, which finds the supervisors of the first at
// work. Its own supervisors fail on their locks, once a second, until the old ones are gone.
func (c *chaos) restart(away time.Duration) {
	c.number.Add(1)
	c.tree.Kill()
	time.Sleep(away) // nothing is waited for: this is how long it is away
	tree, err := s6test.Run(c.scan, c.env())
	if err != nil {
		c.fail("%v", err)
		return
	}
	c.tree = tree
	c.number.Add(1)
}

// TestChaos has sixteen operations of all kinds at work on the same ten profiles, while
// s6-svscan is killed and restarted. Whatever the order, each one that fails says why, and the
// result is consistent.
func TestChaos(t *testing.T) {
	t.Logf("seed %d", *seed)
	p := newPlace(t)
	for _, name := range chaosProfiles[2:] {
		if !slices.Contains(chaosGhosts, name) {
			p.addProfile(t, name, "")
		}
	}
	p.gateway(t, byName)
	tree, err := s6test.Run(p.scan, p.env())
	must.Do(t, err)
	c := &chaos{place: p, t: t, tree: tree, table: map[string]map[int]int{}, said: map[string]int{}}
	t.Cleanup(func() {
		if t.Failed() {
			c.tree.Abort()
			return
		}
		if err := c.tree.Stop(); err != nil {
			t.Error(err)
		}
	})

	end := time.Now().Add(*chaosFor)
	var workers sync.WaitGroup
	for i := range chaosAtOnce {
		rng := rand.New(rand.NewPCG(*seed, uint64(i)))
		workers.Add(1)
		go func() {
			defer workers.Done()
			for time.Now().Before(end) {
				c.run(chaosDraw(rng))
			}
		}()
	}
	rng := rand.New(rand.NewPCG(*seed, chaosAtOnce))
	const restarts = 4
	for i := range restarts {
		// Spread over the run; nothing else is waited for.
		time.Sleep(time.Until(end.Add(-*chaosFor * time.Duration(restarts-i) / (restarts + 1))))
		c.restart(time.Duration(rng.IntN(300)) * time.Millisecond)
	}
	workers.Wait()
	c.log()
	c.check()
}

// log logs the results of the operations.
func (c *chaos) log() {
	var b strings.Builder
	codes := map[int]bool{}
	total := 0
	for _, row := range c.table {
		for code, n := range row {
			codes[code] = true
			total += n
		}
	}
	head := slices.Sorted(maps.Keys(codes))
	fmt.Fprintf(&b, "%d operations\n%-20s", total, "exit code")
	for _, code := range head {
		fmt.Fprintf(&b, "%6d", code)
	}
	for _, name := range slices.Sorted(maps.Keys(c.table)) {
		fmt.Fprintf(&b, "\n%-20s", name)
		for _, code := range head {
			fmt.Fprintf(&b, "%6d", c.table[name][code])
		}
	}
	c.t.Log(b.String())
	b.Reset()
	for _, line := range slices.Sorted(maps.Keys(c.said)) {
		fmt.Fprintf(&b, "\n%5d %s", c.said[line], line)
	}
	c.t.Logf("messages:%s", b.String())
}

// check checks the final state.
func (c *chaos) check() {
	t := c.t
	contents(t, c.scan)
	c.records()

	// One run makes everything what the home calls for.
	c.place.run(t, 0, "hermes-reconcile", "--prune", "--timeout", "60000")
	if t.Failed() {
		return
	}
	diff(t, contents(t, c.scan), model(t, c.place))
	want := []string{".s6-svscan", "gateway-default"}
	for _, name := range chaosProfiles {
		if !slices.Contains(chaosGhosts, name) {
			want = append(want, "gateway-"+name)
		}
	}
	slices.Sort(want)
	if got := c.listing(t); !slices.Equal(got, want) {
		t.Errorf("scan directory: %v, want %v", got, want)
	}
	s6test.Await(t, c.supervisors)

	// Each can be started, and runs once.
	live := slices.DeleteFunc(slices.Clone(chaosProfiles), func(n string) bool { return slices.Contains(chaosGhosts, n) || n == "p0" })
	live = append(live, "default")
	c.place.run(t, 0, "hermes-svc", append([]string{"start", "--wait", "--timeout", "60000"}, live...)...)
	s6test.Await(t, func() error {
		pids := c.place.run(t, 0, "hermes-svstat", append([]string{"-o", "name,pid"}, live...)...)
		return c.gateways(pids, len(live))
	})

	c.place.run(t, 0, "hermes-svc-unregister", "--all", "--timeout", "60000")
	if got := c.listing(t); !slices.Equal(got, []string{".s6-svscan"}) {
		t.Errorf("after all are unregistered: %v", got)
	}
	noneLeft(t, c.tree)
	c.records()
}

// records checks what is recorded in the home: JSON, or nothing.
func (c *chaos) records() {
	for _, pattern := range []string{"profiles/*/gateway_*.json*", "profiles/*/.gateway*", "gateway_*.json*"} {
		files, _ := filepath.Glob(filepath.Join(c.home, pattern))
		for _, f := range files {
			if data := readFile(c.t, f); !json.Valid([]byte(data)) || !strings.HasSuffix(f, ".json") {
				c.t.Errorf("%s: %q", f, data)
			}
		}
	}
}

// supervisors returns nil if each slot has its two supervisors, and there are no others. Those
// of an s6-svscan that finds others at work come and go.
func (c *chaos) supervisors() error {
	count := map[string]int{}
	for _, p := range c.tree.Processes() {
		if !strings.HasPrefix(p.Command, "s6-supervise ") {
			continue
		}
		cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.PID))
		if err != nil {
			continue // gone since
		}
		rel, err := filepath.Rel(c.scan, cwd)
		if err != nil || strings.HasPrefix(rel, ".") || strings.HasSuffix(rel, " (deleted)") {
			return fmt.Errorf("%v runs in %s", p, cwd)
		}
		count[rel]++
	}
	slots, _ := filepath.Glob(filepath.Join(c.scan, "gateway-*"))
	for _, slot := range slots {
		for _, service := range []string{filepath.Base(slot), filepath.Base(slot) + "/log"} {
			if count[service] != 1 {
				return fmt.Errorf("%s has %d supervisors", service, count[service])
			}
			delete(count, service)
		}
	}
	if len(count) > 0 {
		return fmt.Errorf("supervisors of what is no slot: %v", count)
	}
	return nil
}

// gateways returns nil if n gateways run, those in lines of NAME PID, and no other.
func (c *chaos) gateways(lines string, n int) error {
	leaders := map[int]string{}
	for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		name, pid, _ := strings.Cut(line, " ")
		if p, err := strconv.Atoi(pid); err == nil && p > 0 {
			leaders[p] = name
		}
	}
	if len(leaders) != n {
		return fmt.Errorf("%d gateways are up, want %d:\n%s", len(leaders), n, lines)
	}
	for _, p := range c.tree.Processes() {
		group, err := syscall.Getpgid(p.PID)
		if err == nil && p.Command == "sleep 100000" && leaders[group] == "" {
			return fmt.Errorf("%v is no gateway that is known", p)
		}
	}
	return nil
}

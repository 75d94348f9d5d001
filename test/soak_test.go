//go:build linux

package test

import (
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

var soakFor = flag.Duration("soak", 15*time.Second, "how long TestSoak runs")

const (
	soakGateways = 200
	soakAtOnce   = 4
)

// A soaked is what a tree consumes.
type soaked struct {
	processes, supervisors int
	scanRSS, superviseRSS  int // KB
	scanFDs, superviseFDs  int
	files                  int // in the scan directory
	logs                   int // bytes
}

func (s soaked) String() string {
	return fmt.Sprintf("%d processes, %d of them supervisors; s6-svscan %d KB and %d fds, supervisors %d KB and %d fds; %d files in the scan directory, %d bytes of logs",
		s.processes, s.supervisors, s.scanRSS, s.scanFDs, s.superviseRSS, s.superviseFDs, s.files, s.logs)
}

// usage returns the resident memory in KB and the number of open descriptors of a process.
func usage(pid int) (rss, fds int) { return usageOf(fmt.Sprint("/proc/", pid)) }

// soakMeasure measures p's tree.
func soakMeasure(t *testing.T, p place, tree *s6test.Svscan) (s soaked) {
	t.Helper()
	s.scanRSS, s.scanFDs = usage(tree.PID())
	for _, process := range tree.Processes() {
		s.processes++
		if strings.HasPrefix(process.Command, "s6-supervise ") {
			rss, fds := usage(process.PID)
			s.supervisors++
			s.superviseRSS += rss
			s.superviseFDs += fds
		}
	}
	_ = filepath.WalkDir(p.scan, func(string, fs.DirEntry, error) error { s.files++; return nil })
	_ = filepath.WalkDir(filepath.Join(p.home, "logs"), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				s.logs += int(info.Size())
			}
		}
		return nil
	})
	return s
}

// TestSoak has two hundred gateways registered, stopped, restarted and unregistered at random,
// some of which die, hang or flood their logs. After that a tree in the same state consumes
// the same.
func TestSoak(t *testing.T) {
	t.Logf("seed %d", *seed)
	p := newPlace(t)
	for _, name := range []string{"coder", "writer"} {
		must.Do(t, os.RemoveAll(filepath.Join(p.home, "profiles", name)))
	}
	var names []string
	for i := range soakGateways {
		names = append(names, fmt.Sprintf("p%d", i))
		p.addProfile(t, names[i], "")
	}
	p.gateway(t, byName)
	// A gateway that dies is given up after three seconds, not ten.
	tree := s6test.Start(t, p.scan, append(p.env(), "HERMES_CRASH_LIMIT=3/60"), s6test.MaxServices(2*soakGateways+100)...)

	// settle brings all to the same state: supervised, and running except for those that die,
	// with nothing left for their loggers to read.
	settle := func() {
		p.run(t, 0, "hermes-reconcile", "--profiles", "p*", "--timeout", "120000")
		// A start fails for those that die.
		var live []string
		for i, name := range names {
			if i%10 != 0 {
				live = append(live, name)
			}
		}
		p.run(t, 0, "hermes-svc", append([]string{"start", "--wait", "--timeout", "120000"}, live...)...)
		s6test.Await(t, func() error { return soakSettled(p, tree, len(names)) })
	}
	churn := func(until time.Time, round uint64) (steps int64) {
		var count atomic.Int64
		var all sync.WaitGroup
		for i := range soakAtOnce {
			rng := rand.New(rand.NewPCG(*seed, round<<32|uint64(i)))
			all.Add(1)
			go func() {
				defer all.Done()
				for once := true; once || time.Now().Before(until); once = false {
					count.Add(1)
					soakStep(t, p, rng, names)
				}
			}()
		}
		all.Wait()
		return count.Load()
	}

	settle()
	churn(time.Now(), 0) // once round, for what is made at first use
	settle()
	before := soakMeasure(t, p, tree)
	t.Logf("before: %v", before)
	began := time.Now()
	steps := churn(began.Add(*soakFor), 1)
	settle()
	after := soakMeasure(t, p, tree)
	t.Logf("after:  %v, %d steps and %v later", after, steps, time.Since(began).Round(time.Second))

	if after.processes != before.processes || after.supervisors != before.supervisors {
		t.Errorf("processes: %v, were %v", after.processes, before.processes)
	}
	if after.scanFDs != before.scanFDs || after.superviseFDs != before.superviseFDs {
		t.Errorf("descriptors: %d and %d, were %d and %d", after.scanFDs, after.superviseFDs, before.scanFDs, before.superviseFDs)
	}
	// Each may have a death tally and a down file, or not.
	if more := after.files - before.files; more > 2*soakGateways {
		t.Errorf("files in the scan directory: %d more", more)
	}
	// malloc gives nothing back. A fifth, and some pages, are not a leak.
	if after.scanRSS > before.scanRSS*6/5+512 || after.superviseRSS > before.superviseRSS*6/5+512 {
		t.Errorf("memory: %d and %d KB, were %d and %d", after.scanRSS, after.superviseRSS, before.scanRSS, before.superviseRSS)
	}
	// s6-log keeps ten files of a megabyte and the current one.
	if limit := soakGateways / 10 * 11 << 20; after.logs > limit {
		t.Errorf("%d bytes of logs, more than %d", after.logs, limit)
	}
	p.run(t, 0, "hermes-svc-unregister", "--all", "--timeout", "1000")
	noneLeft(t, tree)
}

// soakStep does one thing to some of names.
func soakStep(t *testing.T, p place, rng *rand.Rand, names []string) {
	some := make([]string, 10)
	for i := range some {
		some[i] = names[rng.IntN(len(names))]
	}
	var args []string
	// After it those that hang are killed.
	timeout := "500"
	switch rng.IntN(6) {
	case 0, 1:
		args = append([]string{"hermes-svc-unregister", "--timeout", timeout}, some...)
	case 2:
		args = append([]string{"hermes-svc", "restart", "--timeout", timeout}, some...)
	case 3:
		args = append([]string{"hermes-svc", "stop", "--wait", "--timeout", timeout}, some...)
	case 4:
		args = []string{"hermes-svc-register", "--replace", "--env", fmt.Sprint("X=", rng.IntN(3)), some[0]}
	case 5:
		args = []string{"hermes-reconcile", "--profiles", "p*"}
	}
	// Others work on the same gateways. So it is no failure if some are not available, or if
	// one that dies at once does not stay up.
	cmd := p.command(args[0], args[1:]...)
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != 1 && code != 99 {
		t.Errorf("%v: %v: %s", args, err, out)
	}
}

// soakSettled returns nil if everything that is to run does, and nothing else.
func soakSettled(p place, tree *s6test.Svscan, n int) error {
	out, _ := p.command("hermes-svstat", "--json").Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != n {
		return fmt.Errorf("%d slots, want %d", len(lines), n)
	}
	for _, line := range lines {
		dies := strings.Contains(line, `0","supervised"`)
		if !strings.Contains(line, `"supervised":true`) || strings.Contains(line, `"up":true`) == dies || dies && strings.Contains(line, `"wantedup":true`) {
			return fmt.Errorf("not settled: %s", line)
		}
	}
	// Each has its two supervisors, a logger, and if it lives a gateway. A shell that floods
	// its log in a loop is the shell until it is done.
	if ps, want := len(tree.Processes()), 3*n+n*9/10; ps != want {
		return fmt.Errorf("%d processes, want %d", ps, want)
	}
	for _, p := range tree.Processes() {
		if strings.Contains(p.Command, "/bin/hermes ") {
			return fmt.Errorf("not settled: %v", p)
		}
	}
	return nil
}

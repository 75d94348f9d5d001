//go:build linux

package test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random tests")

// disturb brings the slot of profile name into a state that a scan directory can be found in,
// and returns its description.
func disturb(t *testing.T, p place, name string, how int) string {
	t.Helper()
	slot := filepath.Join(p.scan, "gateway-"+name)
	write := func(path, text string) {
		must.Do(t, os.WriteFile(filepath.Join(slot, path), []byte(text), 0o755))
	}
	sh := func(script string) { p.run(t, 0, "/bin/sh", "-ec", script, slot) }
	switch how {
	case 0:
		return "absent"
	case 1:
		p.run(t, 0, "hermes-svc-register", name)
		_ = os.Remove(filepath.Join(p.home, "profiles", name, "gateway_service.json"))
		return "live"
	case 2:
		p.run(t, 0, "hermes-svc-register", "--env", "OLD=1", "--dialect", "execline", "--down", name)
		_ = os.Remove(filepath.Join(p.home, "profiles", name, "gateway_service.json"))
		return "live and stale"
	case 3:
		p.run(t, 0, "hermes-svc-register", name)
		write("finish", "#!/bin/sh\n")
		sh(`rm "$0/type"; : >"$0/down"`)
		return "live and tampered with"
	case 4:
		sh(`mkdir "$0"; : >"$0/run"`)
		return "half-written"
	case 5:
		sh(`mkdir "$0"`)
		return "empty"
	case 6:
		sh(`mkdir -p "$0/data" "$0/log"; echo "#!/bin/sh" >"$0/run"; mkdir "$0/finish"`)
		return "foreign"
	case 7:
		sh(`: >"$0"`)
		return "a file"
	case 8:
		sh(`ln -s nowhere "$0"`)
		return "a dangling link"
	case 9:
		sh(`hold=$(dirname "$0")/.gateway-` + name + `; mkdir -m 700 "$hold"; mkdir "$hold/slot"; : >"$hold/file3"`)
		return "a leftover"
	case 10:
		p.run(t, 0, "hermes-svc-register", name)
		sh(`hold=$(dirname "$0")/.gateway-` + name + `; mkdir -m 700 "$hold"; mv "$0" "$hold/slot"`)
		return "half retired"
	}
	p.run(t, 0, "hermes-svc-register", name)
	sh(`away=$(dirname "$0")/.away; s6-svc -wD -d "$0"; mv "$0" "$away"; s6-svscanctl -an "$(dirname "$0")"
		n=0; while s6-svok "$away" || s6-svok "$away/log"; do n=$((n + 1)); [ $n -lt 1000 ]; sleep 0.01; done
		mv "$away" "$0"; chmod 700 "$0/event"`)
	return "not supervised, with other permissions"
}

// TestConvergence brings a scan directory from any state to the one that the home calls for,
// in one run. A second run has nothing to do.
func TestConvergence(t *testing.T) {
	t.Logf("seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 0))
	states := []string{"", `{"desired_state":"running"}`, `{"gateway_state":"running"}`, `{"desired_state":"stopped"}`, `{`}
	for round := range 4 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			p, tree := newTree(t)
			var names, story []string
			for i := range 12 {
				name := fmt.Sprintf("p%d", i)
				names = append(names, name)
				p.addProfile(t, name, states[rng.IntN(len(states))])
			}
			hows := make([]int, len(names))
			for i := range names {
				// In three rounds each state occurs at least three times.
				hows[i] = rng.IntN(12)
				if round < 3 {
					hows[i] = (i + round) % 12
				}
			}
			// Those that register come first: since 2.13 s6-svscan takes up nothing while
			// there is a dangling link.
			for _, registers := range []bool{true, false} {
				for i, name := range names {
					if slices.Contains([]int{1, 2, 3, 10, 11}, hows[i]) == registers {
						story = append(story, name+": "+disturb(t, p, name, hows[i]))
					}
				}
			}
			if t.Failed() {
				return
			}
			want := model(t, p)
			out := p.run(t, 0, "hermes-reconcile")
			diff(t, contents(t, p.scan), want)
			for _, name := range append(names, "coder", "writer") {
				if err := exec.Command("s6-svok", filepath.Join(p.scan, "gateway-"+name)).Run(); err != nil {
					t.Errorf("%s is not supervised", name)
				}
			}
			if again := p.run(t, 0, "hermes-reconcile"); strings.Count(again, "action=unchanged\n") != len(names)+3 {
				t.Errorf("the second run:\n%s", again)
			}
			for _, n := range p.listing(t) {
				if n != ".s6-svscan" && !strings.HasPrefix(n, "gateway-") {
					t.Errorf("left: %s", n)
				}
			}
			if t.Failed() {
				t.Logf("seed %d, round %d\n%s\nthe first run:\n%s", *seed, round, strings.Join(story, "\n"), out)
			}
			p.run(t, 0, "hermes-svc-unregister", "--all")
			noneLeft(t, tree)
		})
	}
}

// operations are the system calls with which reconcile changes anything, and those that open
// and lock what it changes.
var operations = []string{"openat", "mkdirat", "mknodat", "write", "fchmod", "fchown", "fchownat", "renameat", "renameat2", "unlinkat", "flock", "fsync"}

// TestKilledAtEveryStep kills hermes-reconcile before each file operation that it makes: for
// each kind of call before the first, the second and so on, until it survives. After each kill
// every slot in the scan directory is complete, no file of the home is lost or truncated, and
// the next run finishes the job: in the scan directory as it is, and in an empty one, as after
// a power cut.
//
// strace does the killing. It stops every thread of a static Go program at its system calls,
// which LD_PRELOAD cannot reach, and leaves the program as it is.
func TestKilledAtEveryStep(t *testing.T) {
	needStrace(t)
	dir := static(t)
	bin := filepath.Join(dir, "hermes-reconcile")
	var kills atomic.Int32
	t.Run("before", func(t *testing.T) {
		for _, op := range operations {
			t.Run(op, func(t *testing.T) {
				t.Parallel()
				for _, powerCut := range []bool{false, true} {
					n := 1
					for ; killedAt(t, bin, op, n, powerCut); n++ {
						kills.Add(1)
					}
					if t.Failed() {
						t.Fatalf("number %d, power cut: %v", n, powerCut)
					}
				}
			})
		}
	})
	t.Logf("%d kills", kills.Load())
	if kills.Load() < 50 {
		t.Errorf("only %d kills: is anything being killed?", kills.Load())
	}
}

// killedAt runs reconcile on a home of its own, killed before the n-th op. It returns false if
// reconcile survives.
func killedAt(t *testing.T, bin, op string, n int, powerCut bool) bool {
	t.Helper()
	p := newPlace(t)
	defer os.RemoveAll(p.dir)
	// One that runs, and two that derive the same port, so that a record is written; a root
	// profile whose state is written; a slot that is stale.
	p.run(t, 0, "/bin/sh", "-ec", `cd "$0/profiles"; rmdir writer 2>/dev/null || rm -r writer
		mkdir c19 c25; : >c19/SOUL.md; : >c25/SOUL.md
		echo '{"desired_state":"running"}' >coder/gateway_state.json; : >coder/gateway.pid; chown -R "$1" .`, p.home, p.account)
	p.run(t, 0, "/bin/sh", "-ec", `mkdir -p "$0/gateway-coder/log"; echo old >"$0/gateway-coder/run"`, p.scan)
	env := append(p.env(), "HERMES_GATEWAY_BOOTSTRAP_STATE=running", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	var out bytes.Buffer
	cmd := exec.Command("strace", "-f", "-o", "/dev/null", "-e", "trace="+op, "-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", op, n), bin)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &out
	err := cmd.Run()
	survived := err == nil
	// The stale slot is not ours yet. All others must be complete.
	if info, err := os.Stat(filepath.Join(p.scan, "gateway-coder/type")); err == nil && info.Size() > 0 {
		contents(t, p.scan)
	} else {
		_ = os.RemoveAll(filepath.Join(p.scan, "gateway-coder"))
		contents(t, p.scan)
	}
	checkHome(t, p)
	if powerCut { // the scan directory is gone with the rest of /run
		must.Do(t, os.RemoveAll(p.scan))
		must.Do(t, os.Mkdir(p.scan, 0o755))
	}
	finish := exec.Command(bin)
	finish.Env = env
	if out, err := finish.CombinedOutput(); err != nil {
		t.Errorf("the next run: %v: %s", err, out)
	}
	slots := p.listing(t)
	if want := []string{"gateway-c19", "gateway-c25", "gateway-coder", "gateway-default"}; !slices.Equal(slots, want) {
		t.Errorf("after the next run: %v, want %v", slots, want)
	}
	checkHome(t, p)
	diff(t, contents(t, p.scan), model(t, p))
	if !survived && !strings.Contains(err.Error(), "killed") {
		t.Errorf("strace: %v: %s", err, out.Bytes())
	}
	return !survived && !t.Failed()
}

// checkHome checks that what is recorded in a home is complete.
func checkHome(t *testing.T, p place) {
	t.Helper()
	for pattern, end := range map[string]string{"profiles/*/*.json": "}\n", "*.json": "}\n", "logs/*.log": "\n"} {
		files, _ := filepath.Glob(filepath.Join(p.home, pattern))
		for _, f := range files {
			data := readFile(t, f)
			if data == "" && strings.HasSuffix(f, ".log") {
				continue // made, and nothing written yet
			}
			if !strings.HasSuffix(data, end) {
				t.Errorf("%s is cut off: %q", f, data)
			}
		}
	}
}

// TestThousandProfiles: of 1,000 profiles none is lost, and one rescan is enough.
func TestThousandProfiles(t *testing.T) {
	p := newPlace(t)
	for i := range 997 { // besides coder, writer and the root profile
		p.addProfile(t, fmt.Sprint("p", i), []string{"", `{"desired_state":"running"}`}[i%2])
	}
	counted := filepath.Join(p.dir, "counted")
	must.Do(t, os.Mkdir(counted, 0o755))
	svscanctl, err := exec.LookPath("s6-svscanctl")
	must.Do(t, err)
	script := fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%s/calls\nexec %s \"$@\"\n", counted, svscanctl)
	must.Do(t, os.WriteFile(filepath.Join(counted, "s6-svscanctl"), []byte(script), 0o755))
	s6test.Start(t, p.scan, p.env(), s6test.MaxServices(3000)...)
	out := p.run(t, 0, "hermes-reconcile", "--s6-bindir", counted, "--timeout", "60000")
	if n := strings.Count(out, "action=started\n"); n != 498 {
		t.Errorf("%d started, want 498", n)
	}
	if n := strings.Count(out, "action=registered\n"); n != 502 {
		t.Errorf("%d registered, want 502", n)
	}
	if calls := readFile(t, filepath.Join(counted, "calls")); calls != "-a "+p.scan+"\n" {
		t.Errorf("s6-svscanctl was called:\n%s", calls)
	}
	s6test.Await(t, func() error {
		cmd := p.command("hermes-svstat", "-o", "name,wantedup,up")
		status, _ := cmd.Output()
		if n := strings.Count(string(status), " true true\n"); n != 498 {
			return fmt.Errorf("%d are up, want 498", n)
		}
		return nil
	})
	p.run(t, 0, "hermes-svc-unregister", "--all", "--timeout", "60000")
}

// TestAltered: a slot that differs in any single way from what it is to be is detected and
// repaired, and the others are left alone. The changes include those that size and mtime do
// not show.
func TestAltered(t *testing.T) {
	p := newPlace(t)
	p.addProfile(t, "p7", "")
	for name, change := range map[string]string{
		"edited in place":   `cp -p run "$1/saved"; tr a-y b-z <"$1/saved" >run; touch -r "$1/saved" run`,
		"another in place":  `sed s/125/124/ finish >new; chmod 755 new; touch -r finish new; mv new finish`,
		"another logger":    `tr a-y b-z <log/run >new; chmod 755 new; touch -r log/run new; mv new log/run`,
		"type":              `printf 'oneshot\n' >type`,
		"mode":              `chmod 700 finish`,
		"mode of event":     `chmod 700 event`,
		"mode of supervise": `chmod 777 log/supervise`,
		"mode of a FIFO":    `chmod 666 supervise/control`,
		"owner":             `chown nobody log`,
		"not to start":      `rm down`,
		"a directory":       `rm run; mkdir run`,
		"gone":              `mv log/run log/gone`,
		"the slot":          `mv ../gateway-p7 ../gateway-p8x; rm -r ../gateway-p8x`,
		"a link":            `mv ../gateway-p7 ../.away; ln -s .away ../gateway-p7`,
		"what is on record": `echo '{"env":{"KEY":"value"}}' >"$1/profiles/p7/gateway_service.json"`,
		"what is wanted":    `echo '{"desired_state":"running"}' >"$1/profiles/p7/gateway_state.json"`,
	} {
		t.Run(name, func(t *testing.T) {
			p.run(t, 0, "hermes-reconcile")
			p.run(t, 0, "/bin/sh", "-ec", `cd "$0/gateway-p7"; `+change, p.scan, p.home)
			out := p.run(t, 0, "hermes-reconcile")
			if strings.Count(out, "action=unchanged\n") != 3 || strings.Contains(out, "profile=p7 prior_state=None action=unchanged") {
				t.Errorf("p7 was changed, the others were not:\n%s", out)
			}
			diff(t, contents(t, p.scan), model(t, p))
			p.run(t, 0, "/bin/sh", "-c", `rm -rf "$0"/.away "$0"/profiles/p7/*.json`, p.home)
		})
	}
}

//go:build linux

package test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var fenceFor = flag.Duration("fence", 20*time.Second, "how long TestFenceExactlyOnce runs")

// restless lets a gateway die as often as it likes.
const restless = "HERMES_CRASH_LIMIT=0"

// patience is what a command gets, in ms: enough for most, and so little that a command that
// waits for another, failed one does not hold everything up.
const patience = "5000"

// A rumble is a random run on a fleet.
type rumble struct {
	*fleet
	busy map[string]*sync.Mutex // of each profile: its commands are given one after the other
	some []*restarting

	mu     sync.Mutex
	intent map[string]bool // what was asked for last
	sure   map[string]bool // and was done
	table  map[string]map[int]int
}

// A restarting is a container that may be killed and booted while others use it.
type restarting struct {
	*container
	use  sync.RWMutex // held to read while its pid is used
	ends sync.Mutex   // held to end and boot it
}

// TestFenceExactlyOnce has two containers run the same ten gateways, while these, their
// supervisors and the containers are killed, started and stopped at random. At every moment
// each gateway runs once at most; at the end once, or not at all, as was asked for last.
// Without the fence the same run finds gateways that run twice.
func TestFenceExactlyOnce(t *testing.T) {
	t.Run("fence", func(t *testing.T) {
		r := newRumble(t)
		r.run(*fenceFor)
		r.settle()
		r.log()
	})
	t.Run("none", func(t *testing.T) {
		r := newRumble(t, "HERMES_FENCE=off")
		r.run(time.Second)
		awaitMoves(t, func() error {
			if r.twice() == "" {
				return fmt.Errorf("no gateway has found another of its profile:\n%s", r.describe())
			}
			return nil
		})
		for _, c := range r.members {
			c.kill()
		}
		r.forgive()
	})
}

func newRumble(t *testing.T, env ...string) *rumble {
	t.Helper()
	t.Logf("seed %d", *seed)
	f := newFleet(t, 2, names(10), `{"desired_state":"running"}`, append(env, restless)...)
	r := &rumble{fleet: f, busy: map[string]*sync.Mutex{}, intent: map[string]bool{}, sure: map[string]bool{}, table: map[string]map[int]int{}}
	for _, p := range f.profiles {
		r.busy[p], r.intent[p], r.sure[p] = &sync.Mutex{}, true, true
	}
	for _, c := range f.members {
		c.boot()
		r.some = append(r.some, &restarting{container: c})
	}
	return r
}

// run runs for that long, with two goroutines at work in each container.
func (r *rumble) run(long time.Duration) {
	end := time.Now().Add(long)
	var workers sync.WaitGroup
	for i := range 2 * len(r.some) {
		rng := rand.New(rand.NewPCG(*seed, uint64(i)))
		workers.Add(1)
		go func() {
			defer workers.Done()
			for time.Now().Before(end) {
				r.step(rng, r.some[i%len(r.some)])
			}
		}()
	}
	workers.Wait()
}

// step does one thing in c.
func (r *rumble) step(rng *rand.Rand, c *restarting) {
	p := r.profiles[rng.IntN(len(r.profiles))]
	switch n := rng.IntN(20); {
	case n < 4:
		r.command(p, true, func() bool { return r.svc(c, "start", patience, p) })
	case n < 6:
		r.command(p, true, func() bool { return r.svc(c, "restart", patience, p) })
	case n < 9:
		r.command(p, false, func() bool {
			if rng.IntN(2) == 0 {
				// If it runs in the other container, it goes on there, and this command says
				// so: it must be stopped there as well.
				r.svc(c, "stop", "200", p)
			}
			return r.stop(p)
		})
	case n < 14:
		c.use.RLock()
		defer c.use.RUnlock()
		_, _, code := c.try(false, "/command/s6-svc", "-k", "/run/service/gateway-"+p)
		r.count("kill a gateway", code)
	case n < 18:
		c.use.RLock()
		defer c.use.RUnlock()
		slay(c.supervisor(p))
		r.count("kill a supervisor", 0)
	case n < 19:
		r.reboot(c, "kill a container", true)
	default:
		r.reboot(c, "stop a container", false)
	}
}

// command does what makes a gateway's state as wanted, and records whether that succeeded.
func (r *rumble) command(p string, wanted bool, do func() bool) {
	r.busy[p].Lock()
	defer r.busy[p].Unlock()
	done := do()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.intent[p], r.sure[p] = wanted, done
}

// svc gives one container a command, and reports whether it was done. It is not if, for
// example, the container is killed meanwhile.
func (r *rumble) svc(c *restarting, verb, timeout, p string) bool {
	c.use.RLock()
	defer c.use.RUnlock()
	_, _, code := c.try(false, "hermes-svc", verb, "--timeout", timeout, p)
	r.count(verb, code)
	return code == 0
}

// stop stops a gateway in all containers. Each one waits until it runs in no other.
func (r *rumble) stop(p string) bool {
	done := make([]bool, len(r.some))
	var all sync.WaitGroup
	for i, c := range r.some {
		all.Add(1)
		go func() {
			defer all.Done()
			done[i] = r.svc(c, "stop", patience, p)
		}()
	}
	all.Wait()
	return !slices.Contains(done, false)
}

// reboot ends c, by SIGKILL in the middle of what others do in it, and boots it.
func (r *rumble) reboot(c *restarting, what string, kill bool) {
	c.ends.Lock()
	defer c.ends.Unlock()
	if kill {
		c.use.RLock()
		slay(c.pid)
		c.use.RUnlock()
	}
	c.use.Lock()
	defer c.use.Unlock()
	if kill {
		c.kill()
	} else {
		c.stopWithin(2 * time.Second)
	}
	c.boot()
	r.count(what, 0)
}

func (r *rumble) count(what string, code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.table[what] == nil {
		r.table[what] = map[int]int{}
	}
	r.table[what][code]++
}

// settle repeats what failed, and waits until everything is as was asked for last.
func (r *rumble) settle() {
	r.t.Helper()
	want := map[string]int{}
	for _, p := range r.profiles {
		awaitMoves(r.t, func() error {
			if !r.sure[p] {
				r.command(p, r.intent[p], func() bool {
					if r.intent[p] {
						return r.svc(r.some[0], "start", patience, p)
					}
					return r.stop(p)
				})
			}
			if !r.sure[p] {
				return fmt.Errorf("%s could not be told, running: %v", p, r.intent[p])
			}
			return nil
		})
		if r.intent[p] {
			want[p] = 1
		}
	}
	r.awaitRunners(want)
	for _, c := range r.members {
		states, err := c.states()
		c.check(err)
		for p, s := range states {
			if running := s.Desired == "running"; running != r.intent[p] {
				r.t.Errorf("%s is on record as %q", p, s.Desired)
			}
			if s.Up && want[p] == 0 {
				r.t.Errorf("%s is up in %s, and stopped: %+v", p, c.host(), s)
			}
		}
	}
}

// log logs what was done, and the results.
func (r *rumble) log() {
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(r.table)) {
		fmt.Fprintf(&b, "\n%-20s", what)
		for _, code := range slices.Sorted(maps.Keys(r.table[what])) {
			fmt.Fprintf(&b, "  %d with exit code %d", r.table[what][code], code)
		}
	}
	starts, moves := 0, 0
	for _, p := range r.profiles {
		all := r.lives(p)
		starts += len(all)
		for i := range all[1:] {
			if all[i].host != all[i+1].host {
				moves++
			}
		}
	}
	r.t.Logf("%d starts, %d of them in another container than before%s", starts, moves, b.String())
	if moves == 0 {
		r.t.Error("no gateway ever ran in another container: nothing was shown")
	}
}

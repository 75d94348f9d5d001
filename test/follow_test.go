//go:build linux

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

// arrivals are ways in which a profile comes to be: sh scripts, run outside of the
// container in its home, with what it is made of in staged/NAME, $0.
var arrivals = map[string]string{
	"copied":  `cp -a staged/$0 profiles/`,
	"renamed": `mv staged/$0 profiles/`,
	"old":     `find staged/$0 -exec touch -d 2001-01-01 {} + && tar -C staged -cf $0.tar $0 && tar -C profiles -xpf $0.tar`,
	"linked":  `mkdir profiles/$0 && ln staged/$0/* profiles/$0/`,
	"later":   `mkdir profiles/$0 && sleep 1 && cp -a staged/$0/. profiles/$0`,
}

// TestFollowArrivals has profiles come to be from outside. Each gets one slot, once, with
// the settings that it brings, and its gateway runs.
func TestFollowArrivals(t *testing.T) {
	home := newHomeFor(t, "first")
	c := follow(t, home)
	ports := map[string]int{}
	for way := range arrivals {
		for i := range 3 {
			ports[fmt.Sprint(way, i)] = 4000 + 10*len(way) + i
		}
	}
	quick := map[string]bool{}
	for name, port := range ports {
		stage(t, home, name, asked(port))
		began := time.Now()
		run(t, "sh", "-c", "cd '"+home+"' && "+arrivals[name[:len(name)-1]], name)
		// One that takes longer than it is waited for may be looked at half-done.
		quick[name] = strings.HasPrefix(name, "later") || time.Since(began) < 150*time.Millisecond
	}
	for name, port := range ports {
		c.awaitUp(name)
		s6test.Await(t, func() error {
			text, _ := os.ReadFile(c.path("/run/service/gateway-" + name + "/run"))
			for _, want := range []string{fmt.Sprint("HERMES_GATEWAY_PORT=", port), fmt.Sprintf("of %d", port)} {
				if !strings.Contains(string(text), want) {
					return fmt.Errorf("%s: no %q in\n%s", name, want, text)
				}
			}
			return nil
		})
	}
	c.looked("marker")
	once := 0
	for name := range ports {
		did := c.did(name)
		if quick[name] {
			once++
		} else { // what has come later, it has brought up to date
			did = slices.DeleteFunc(did, func(a string) bool { return a == "updated" })
		}
		if !slices.Equal(did, []string{"started"}) && !(slices.Equal(did, []string{"registered", "started"}) && !quick[name]) {
			t.Errorf("%s: %v, want it started once", name, did)
		}
	}
	t.Logf("%d of %d came in one piece", once, len(ports))
}

// TestFollowDepartures has profiles go: gateway and slot go with them when they have been
// gone for the delay, and stay where they are back before.
func TestFollowDepartures(t *testing.T) {
	home := newHomeFor(t, "stays")
	for i, name := range []string{"deleted", "renamed", "back", "soulless"} {
		for file, text := range asked(4100 + i) {
			putFile(t, accountUID, home, filepath.Join("profiles", name, file), text)
		}
	}
	const delay = 4 * time.Second
	c := follow(t, home, fmt.Sprintf("HERMES_PRUNE_DELAY=%d", delay.Milliseconds()))
	pids := map[string]string{}
	for _, name := range []string{"deleted", "renamed", "back", "soulless"} {
		pids[name] = c.awaitUp(name)
	}
	began := time.Now()
	must.Do(t, os.RemoveAll(c.profileDir("deleted")))
	must.Do(t, os.Rename(c.profileDir("renamed"), c.profileDir("another")))
	must.Do(t, os.Remove(filepath.Join(c.profileDir("soulless"), "SOUL.md")))
	// Made again, of another inode, when it has been missed.
	stage(t, home, "back", asked(4102))
	for {
		gone := time.Now()
		must.Do(t, os.RemoveAll(c.profileDir("back")))
		lapse(delay / 2)
		run(t, "cp", "-a", filepath.Join(home, "staged/back"), c.profileDir("back"))
		if time.Since(gone) < delay*3/4 {
			break
		}
		t.Log("made again too late for what is to be shown")
		c.looked("again")
		pids["back"] = c.awaitUp("back")
	}
	c.awaitUp("another")
	for _, name := range []string{"deleted", "renamed", "soulless"} {
		c.awaitNo(name)
		if took := time.Since(began); took < delay {
			t.Errorf("%s: its slot was removed after %v, want %v", name, took, delay)
		}
		s6test.Await(t, func() error {
			if did := c.did(name); !slices.Equal(did, []string{"removed"}) {
				return fmt.Errorf("%s: %v, want removed", name, did)
			}
			return nil
		})
	}
	lapse(delay) // had it been missed, it would go now
	c.looked("marker")
	if now := c.gateway("back"); now != pids["back"] || slices.Contains(c.did("back"), "removed") {
		t.Errorf("back: its gateway was %s and is %s: %v", pids["back"], now, c.did("back"))
	}
	if out, _ := c.exec(false, "sh", "-c", "ps -eo args | grep -c '^s6-supervise gateway-'"); out != "8\n" {
		t.Errorf("supervisors: %s", out) // back, stays, another, marker, with their loggers
	}
}

// losses are ways in which the profiles cannot be seen that are there: scripts, and what
// undoes them. Those of here are run in the container, as root.
var losses = []struct {
	name      string
	away, fix string
}{
	{"a file system over profiles/", `mount -t tmpfs none /opt/data/profiles`, `umount -l /opt/data/profiles`},
	{"a directory over profiles/", `mkdir -p /tmp/empty && mount --bind /tmp/empty /opt/data/profiles`, `umount -l /opt/data/profiles`},
	{"an empty profiles/", `cd /opt/data && mv profiles kept && mkdir profiles`, `cd /opt/data && rmdir profiles && mv kept profiles`},
	{"no profiles/", `cd /opt/data && mv profiles kept`, `cd /opt/data && mv kept profiles`},
	{"a file", `cd /opt/data && mv profiles kept && : >profiles`, `cd /opt/data && rm profiles && mv kept profiles`},
	{"a link", `cd /opt/data && mv profiles kept && ln -s kept profiles`, `cd /opt/data && rm profiles && mv kept profiles`},
	{"a file system over the home", `mount -t tmpfs none /opt/data`, `umount -l /opt/data`},
}

// TestFollowLosses takes the profiles away from the reconciler in ways that no user
// deletes one. It says so, and nothing is removed, however long it takes.
func TestFollowLosses(t *testing.T) {
	home := newHomeFor(t)
	names := []string{"default", "one", "two"}
	putFile(t, accountUID, home, "SOUL.md", "")
	putFile(t, accountUID, home, "gateway_state.json", `{"desired_state":"running"}`)
	for _, name := range names[1:] {
		addProfile(t, home, name, `{"desired_state":"running"}`)
	}
	c := follow(t, home)
	pids := map[string]string{}
	for _, name := range names {
		pids[name] = c.awaitUp(name)
	}
	for i, loss := range losses {
		before := len(c.warnings())
		c.must(false, "sh", "-c", loss.away)
		c.must(false, "/command/s6-svc", "-h", reconciler)
		s6test.Await(t, func() error {
			if said := c.warnings()[before:]; len(said) == 0 || !strings.Contains(said[0], "waited for") {
				return fmt.Errorf("%s: %q", loss.name, said)
			}
			return nil
		})
		lapse(2500 * time.Millisecond) // twice the delay
		c.must(false, "sh", "-c", loss.fix)
		c.awaitSays(i+1, "there again")
		c.looked(fmt.Sprint("marker", i))
		for _, name := range names {
			if now := c.gateway(name); now != pids[name] || len(c.did(name)) > 0 {
				t.Errorf("%s: gateway %s was %s and is %s: %v", loss.name, name, pids[name], now, c.did(name))
			}
		}
		// Before and after a link there is nothing for a moment, which is another reason.
		if said := c.warnings()[before:]; len(said) > 4 || len(slices.Compact(said)) != len(said) {
			t.Errorf("%s: said %q, want each once at a time", loss.name, said)
		}
	}
}

// TestFollowLosesRoot takes a home away that has no profile but the root one: it is no
// other than one with profiles.
func TestFollowLosesRoot(t *testing.T) {
	home := newHomeFor(t)
	putFile(t, accountUID, home, "SOUL.md", "")
	putFile(t, accountUID, home, "gateway_state.json", `{"desired_state":"running"}`)
	c := follow(t, home)
	pid := c.awaitUp("default")
	c.must(false, "mount", "-t", "tmpfs", "none", "/opt/data")
	c.must(false, "/command/s6-svc", "-h", reconciler)
	lapse(2500 * time.Millisecond) // twice the delay
	c.must(false, "umount", "-l", "/opt/data")
	c.looked("marker")
	if now := c.gateway("default"); now != pid || len(c.did("default")) > 0 {
		t.Errorf("the gateway was %s and is %s: %v", pid, now, c.did("default"))
	}
	// As a profile it is deleted as others are.
	must.Do(t, os.Remove(filepath.Join(home, "SOUL.md")))
	must.Do(t, os.Remove(filepath.Join(home, "gateway_state.json")))
	c.awaitNo("default")
}

// ends are how gateways end, by what their profiles are called: what the file behaviour
// says. Each is down then, for good but for the last.
const ends = `case $2 in
dies) exit 1 ;;
done) exit 0 ;;
misconfigured) exit 78 ;;
forgets) while echo '{"gateway_state":"starting"}' >gateway_state.json; do sleep 0.1; done ;;
esac
`

// TestFollowLeavesAlone shows that what a gateway does to itself is no intent: one that
// is down by itself, or by hand, is not started, nor is one stopped that does not keep
// what was asked for in its state. What an operator then asks for is done.
func TestFollowLeavesAlone(t *testing.T) {
	home := newHomeFor(t)
	down := []string{"byhand", "dies", "done", "misconfigured"}
	for _, name := range append(down, "forgets") {
		addProfile(t, home, name, `{"desired_state":"running"}`)
	}
	must.Do(t, os.WriteFile(filepath.Join(home, "behaviour"), []byte(ends), 0o644))
	c := follow(t, home, "HERMES_CRASH_LIMIT=3/60")
	c.awaitUp("byhand")
	pid := c.awaitUp("forgets")
	c.must(false, "/command/s6-svc", "-d", "/run/service/gateway-byhand")
	all := "byhand false false\ndies false false\ndone false false\nforgets true true\nmisconfigured false false\n"
	c.awaitStatus(all)
	starts := func() (n int) { return strings.Count(readFile(t, c.path("/run/log")), "up: -p ") }
	began := starts()
	for i, state := range []string{`{"gateway_state":"running","x":1}`, `{"gateway_state":"startup_failed"}`, `{`, `{"desired_state":"running","gateway_state":"stopped"}`} {
		for _, name := range down {
			replaceFile(t, filepath.Join(c.profileDir(name), "gateway_state.json"), state)
		}
		marker := fmt.Sprint("marker", i)
		c.looked(marker)
		c.must(false, "hermes-svc-unregister", marker)
		must.Do(t, os.RemoveAll(c.profileDir(marker)))
		c.awaitStatus(all)
	}
	if n := starts(); n != began || c.gateway("forgets") != pid {
		t.Errorf("%d starts, were %d; forgets was %s and is %s", n, began, pid, c.gateway("forgets"))
	}
	for _, name := range append(down, "forgets") {
		if did := c.did(name); slices.Contains(did, "started") || slices.Contains(did, "stopped") {
			t.Errorf("%s: %v", name, did)
		}
	}
	for _, state := range []string{"stopped", "running", "stopped"} {
		c.desire("byhand", state)
		want := fmt.Sprint(state == "running")
		c.await(false, want+" "+want+"\n", "/command/s6-svstat", "-o", "up,normallyup", "/run/service/gateway-byhand")
		if state == "running" {
			c.awaitUp("byhand") // else what it writes is the last word
		}
	}
}

// rewrite has the state of a profile replaced a thousand times a second, as well as this
// machine can, until stop is called, which returns how many times it was.
func rewrite(t *testing.T, dir string) (stop func() int) {
	done, counted := make(chan struct{}), make(chan int)
	go func() {
		began := time.Now()
		for n := 0; ; n++ {
			select {
			case <-done:
				counted <- n
				return
			case <-time.After(time.Until(began.Add(time.Duration(n) * time.Millisecond))):
			}
			path := filepath.Join(dir, "gateway_state.json")
			text := fmt.Sprintf(`{"desired_state":"running","gateway_state":"running","n":%d}`, n)
			if os.WriteFile(path+".own", []byte(text), 0o644) != nil || os.Rename(path+".own", path) != nil {
				t.Error("the state cannot be written")
				<-done
				counted <- n
				return
			}
		}
	}()
	return func() int { close(done); return <-counted }
}

// TestFollowBusy has a gateway rewrite its state all the time. The reconciler hardly
// notices, and does what is asked for meanwhile.
func TestFollowBusy(t *testing.T) {
	home := newHomeFor(t)
	for _, name := range []string{"busy", "obeys"} {
		addProfile(t, home, name, `{"desired_state":"running"}`)
	}
	c := follow(t, home)
	pid := c.awaitUp("busy")
	c.awaitUp("obeys")
	stop := rewrite(t, c.profileDir("busy"))
	before, began := c.consumes(), time.Now()
	lapse(6 * time.Second)
	used, took := c.consumes().processor-before.processor, time.Since(began)
	var obeyed []time.Duration
	for i, state := range []string{"stopped", "running", "stopped", "running", "stopped"} {
		asked := time.Now()
		c.desire("obeys", state)
		s6test.Await(t, func() error {
			if did := c.did("obeys"); len(did) <= i {
				return fmt.Errorf("%s: %v", state, did)
			}
			return nil
		})
		obeyed = append(obeyed, time.Since(asked).Round(time.Millisecond))
		if state == "running" {
			c.awaitUp("obeys") // else what it writes is the last word
		}
	}
	n := float64(stop()) / time.Since(began).Seconds()
	share := 100 * used.Seconds() / took.Seconds()
	t.Logf("state rewritten %.0f times a second: %.2f %% of a processor; intents obeyed after %v", n, share, obeyed)
	note("%s: state rewritten %.0f times a second: %.2f %% of a processor; intents obeyed after %v", t.Name(), n, share, obeyed)
	if share >= 2 {
		t.Errorf("%.2f %% of a processor, want less than 2", share)
	}
	if now := c.gateway("busy"); now != pid || len(c.did("busy")) > 0 {
		t.Errorf("busy: its gateway was %s and is %s: %v", pid, now, c.did("busy"))
	}
}

// TestFollowRemovesLater has a profile go at whose slot somebody is at work: what cannot
// be removed yet is removed when it can.
func TestFollowRemovesLater(t *testing.T) {
	home := newHomeFor(t, "held", "stays")
	c := follow(t, home)
	hold := c.path("/run/service/.gateway-held")
	c.check(os.Mkdir(hold, 0o700))
	dir, err := os.Open(hold)
	c.check(err)
	defer dir.Close()
	c.check(syscall.Flock(int(dir.Fd()), syscall.LOCK_EX))
	must.Do(t, os.RemoveAll(c.profileDir("held")))
	s6test.Await(t, func() error {
		if did := c.did("held"); !slices.Contains(did, "failed") {
			return fmt.Errorf("%v, want failed", did)
		}
		return nil
	})
	dir.Close()
	c.awaitNo("held")
}

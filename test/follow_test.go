//go:build linux

package test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

// arrivals are ways in which a profile comes into being: sh scripts, run outside of the
// container in its home, with the profile's content in staged/NAME, $0.
var arrivals = map[string]string{
	"copied":  `cp -a staged/$0 profiles/`,
	"renamed": `mv staged/$0 profiles/`,
	"old":     `find staged/$0 -exec touch -d 2001-01-01 {} + && tar -C staged -cf $0.tar $0 && tar -C profiles -xpf $0.tar`,
	"linked":  `mkdir profiles/$0 && chown --reference=staged/$0 profiles/$0 && ln staged/$0/* profiles/$0/`,
	"later":   `mkdir profiles/$0 && sleep 1 && cp -a staged/$0/. profiles/$0`,
}

// TestFollowArrivals makes profiles from outside. Each gets one slot, once, with the settings
// that it brings, and its gateway runs.
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
		// A slower one may be looked at while it is incomplete.
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
		} else { // it has updated the slot with what came later
			did = slices.DeleteFunc(did, func(a string) bool { return a == "updated" })
		}
		if !slices.Equal(did, []string{"started"}) && !(slices.Equal(did, []string{"registered", "started"}) && !quick[name]) {
			t.Errorf("%s: %v, want it started once", name, did)
		}
	}
	t.Logf("%d of %d came in one piece", once, len(ports))
}

// TestFollowDepartures removes profiles. Gateway and slot go after the profile has been gone
// for the delay, and stay if it is back earlier.
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
	// Made again, with another inode, after it has been missed.
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
	lapse(delay) // if it had been missed, it would go now
	c.looked("marker")
	if now := c.gateway("back"); now != pids["back"] || slices.Contains(c.did("back"), "removed") {
		t.Errorf("back: its gateway was %s and is %s: %v", pids["back"], now, c.did("back"))
	}
	if out, _ := c.exec(false, "sh", "-c", "ps -eo args | grep -c '^s6-supervise gateway-'"); out != "10\n" {
		t.Errorf("supervisors: %s", out) // back, stays, another, marker, default, with their loggers
	}
}

// losses are ways in which existing profiles become invisible: scripts, and what undoes them.
// Those below run in the container, as root.
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
	{"a new file system over profiles/", `mount -t tmpfs none /opt/data/profiles && mkdir /opt/data/profiles/lost+found /opt/data/profiles/lost`, `umount -l /opt/data/profiles`},
	{"a bad disk", failing("getdents64:error=EIO -P /opt/data/profiles"), whole},
	{"a server that has forgotten us", failing("openat2:error=ESTALE"), whole},
}

// failing returns a script that makes system calls of the reconciler fail.
func failing(calls string) string {
	return `pid=$(/command/s6-svstat -o pid ` + reconciler + `)
strace -f -qq -o /dev/null -p "$pid" -e inject=` + calls + ` </dev/null >/run/strace.err 2>&1 &
echo $! >/run/strace
until ! grep -l '^TracerPid:.0$' /proc/$pid/task/*/status; do kill -0 $!; sleep 0.01; done`
}

// whole is a script that ends failing.
const whole = `read -r tracer </run/strace && kill "$tracer" && while kill -0 "$tracer"; do sleep 0.01; done`

// TestFollowLosses hides the profiles from the reconciler in ways in which no user deletes
// one. The reconciler says so, and removes nothing, however long it takes.
func TestFollowLosses(t *testing.T) {
	needStrace(t)
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
			// What it is just doing may fail before it looks at all.
			if said := c.warnings()[before:]; !strings.Contains(strings.Join(said, ""), "waiting for the home, and removing nothing") {
				return fmt.Errorf("%s: %q", loss.name, said)
			}
			return nil
		})
		lapse(2500 * time.Millisecond) // twice the delay
		c.must(false, "sh", "-c", loss.fix)
		c.awaitSays(i+1, "the home is back")
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
	for _, state := range []string{"stopped", "running"} {
		c.desire("two", state)
		c.await(false, fmt.Sprintln(state == "running"), "hermes-svstat", "-o", "up", "two")
	}
}

// TestFollowLosesRoot takes away a home that has only the root profile. It is treated like a
// home with profiles.
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
	// While there is a home there is a root profile, with or without files of its own.
	for _, file := range []string{"SOUL.md", "gateway_state.json"} {
		if err := os.Remove(filepath.Join(home, file)); !errors.Is(err, fs.ErrNotExist) {
			must.Do(t, err)
		}
	}
	c.looked("bare")
	lapse(2500 * time.Millisecond) // twice the delay
	c.looked("later")
	if now := c.gateway("default"); now != pid || len(c.did("default")) > 0 {
		t.Errorf("the gateway was %s and is %s: %v", pid, now, c.did("default"))
	}
}

// TestFollowEmptyHome follows an unused home. The root profile has its slot, which waits for a
// start, and keeps it while another file system is in the home's place.
func TestFollowEmptyHome(t *testing.T) {
	home := newHomeFor(t)
	must.Do(t, os.RemoveAll(filepath.Join(home, "profiles")))
	c := follow(t, home)
	c.awaitStatus("default false false\n")
	lose := func() {
		t.Helper()
		c.must(false, "sh", "-c", "mount -t tmpfs none /opt/data && chown hermes: /opt/data")
		c.must(false, "/command/s6-svc", "-h", reconciler)
	}
	back := func() {
		t.Helper()
		lapse(2500 * time.Millisecond) // twice the delay
		c.must(false, "umount", "-l", "/opt/data")
	}
	// An empty home can be replaced by another one.
	lose()
	c.awaitFollower()
	back()
	c.looked("marker")
	c.awaitStatus("default false false\nmarker false false\n")
	if slices.Contains(c.did("default"), "removed") || c.saysTimes("waiting for the home, and removing nothing") > 0 {
		t.Errorf("default: %v; %q", c.did("default"), c.warnings())
	}
	if out, code := c.exec(true, "hermes-svc", "start", "--wait", "--timeout", "60000", "default"); code != 0 {
		t.Fatalf("start: exit code %d: %s", code, out)
	}
	pid := c.awaitUp("default")
	before := len(c.did("default"))
	lose()
	c.awaitSays(1, "waiting for the home, and removing nothing")
	back()
	c.awaitSays(1, "the home is back")
	c.looked("again")
	if now := c.gateway("default"); now != pid || len(c.did("default")) != before {
		t.Errorf("the gateway was %s and is %s: %v", pid, now, c.did("default"))
	}
}

// ends are the ways in which gateways end, by their profiles' names: the content of the file
// behaviour. After that each one is down, for good except for the last.
const ends = `case $2 in
dies) exit 1 ;;
done) exit 0 ;;
misconfigured) exit 78 ;;
forgets) while echo '{"gateway_state":"starting"}' >gateway_state.json; do sleep 0.1; done ;;
esac
`

// TestFollowLeavesAlone: what a gateway does to itself is no intent. A gateway that is down by
// itself, or by hand, is not started. A gateway that does not keep what was asked for in its
// state is not stopped. What an operator asks for after that is done.
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
	all := "byhand false false\ndefault false false\ndies false false\ndone false false\nforgets true true\nmisconfigured false false\n"
	c.awaitStatus(all)
	// A first pass treats what it has not seen as new.
	c.must(false, "/command/s6-svc", "-wR", "-r", reconciler)
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
			c.awaitUp("byhand") // otherwise its own write comes last
		}
	}
}

// TestFollowUnregistered: a gateway that is started, and unregistered before the reconciler
// has looked, is not registered again, because what was wanted of it is older. What is wanted
// of it later is obeyed.
func TestFollowUnregistered(t *testing.T) {
	home := newHomeFor(t)
	addProfile(t, home, "writer", `{"desired_state":"stopped"}`)
	c := follow(t, home)
	for i := range 3 {
		c.desire("writer", "stopped")
		c.must(false, "hermes-svc-unregister", "writer")
		c.looked(fmt.Sprint("marker", i))
		c.must(false, "sh", "-c", "hermes-svc start writer && hermes-svc-unregister writer")
		c.looked(fmt.Sprint("again", i))
		if err := noFile(c.path("/run/service/gateway-writer")); err != nil {
			t.Fatal(err)
		}
	}
	c.desire("writer", "stopped")
	c.looked("last")
	c.desire("writer", "running")
	c.awaitUp("writer")
}

// rewrite replaces the state of a profile a thousand times a second, as far as this machine
// can, until stop is called, which returns how many times it did.
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

// TestFollowBusy has a gateway rewrite its state all the time. The reconciler hardly notices,
// and does what is asked for meanwhile.
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
			c.awaitUp("obeys") // otherwise its own write comes last
		}
	}
	n := float64(stop()) / time.Since(began).Seconds()
	share := 100 * used.Seconds() / took.Seconds()
	t.Logf("state rewritten %.0f times a second: %.2f %% of a processor; intents obeyed after %v", n, share, obeyed)
	// The second and the fourth were asked for just after the previous one was obeyed. One of
	// them is enough, because this machine may be busy.
	if min(obeyed[1], obeyed[3]) > 700*time.Millisecond {
		t.Errorf("intents were obeyed after %v, want them within a second", obeyed)
	}
	if share >= 2 {
		t.Errorf("%.2f %% of a processor, want less than 2", share)
	}
	if now := c.gateway("busy"); now != pid || len(c.did("busy")) > 0 {
		t.Errorf("busy: its gateway was %s and is %s: %v", pid, now, c.did("busy"))
	}
}

// TestFollowRemovesLater removes a profile while its slot is in use: what cannot be removed
// yet is removed when it can.
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

// TestFollowTwoContainers has two containers follow one home. What is made in both at once has
// one slot in each and runs once. What is asked for in one happens in the other.
func TestFollowTwoContainers(t *testing.T) {
	home := newHomeFor(t, "first")
	cs := []*container{follow(t, home), follow(t, home)}
	stage(t, home, "both", asked(4200))
	var cmds []*exec.Cmd
	for _, c := range cs {
		cmds = append(cmds, exec.Command("nsenter", "-t", strconv.Itoa(c.pid), "-m", "-r", "-w",
			// cp fails if the other one makes the file between its check and its open.
			"sh", "-c", "cd /opt/data && mkdir -p profiles/both && until cp -a staged/both/. profiles/both; do :; done"))
	}
	if codes := all(cmds); slices.Max(codes) != 0 {
		t.Fatalf("exit codes %v", codes)
	}
	// runs waits until one has it up and the other stands by, and returns them.
	runs := func() (up, standby *container) {
		t.Helper()
		s6test.Await(t, func() error {
			var states []string
			up, standby = nil, nil
			for _, c := range cs {
				out, _ := c.exec(false, "hermes-svstat", "both")
				states = append(states, out)
				if strings.Contains(out, " standby ") {
					standby = c
				} else if strings.Contains(out, " up ") {
					up = c
				}
			}
			if up == nil || standby == nil {
				return fmt.Errorf("want one up and one standing by: %q", states)
			}
			return nil
		})
		return up, standby
	}
	up, standby := runs()
	for _, c := range cs {
		c.looked("marker" + strconv.Itoa(c.pid))
		if did := slices.DeleteFunc(c.did("both"), func(a string) bool { return a == "updated" }); !slices.Equal(did, []string{"started"}) {
			t.Errorf("both: %v, want it started once", did)
		}
	}
	// The gateway writes its state when it comes up. Wait for that, so that the stop below
	// is the last write.
	waitForFile(t, filepath.Join(home, "profiles/both/gateway.pid"))
	for _, in := range []*container{standby, up} {
		must.Do(t, os.Remove(filepath.Join(home, "profiles/both/gateway.pid")))
		if out, code := in.exec(true, "hermes-svc", "stop", "--wait", "--timeout", "60000", "both"); code != 0 {
			t.Errorf("stop: exit code %d: %s", code, out)
		}
		for _, c := range cs {
			c.await(false, "false false\n", "hermes-svstat", "-o", "up,wantedup", "both")
		}
		if out, code := in.exec(true, "hermes-svc", "start", "--wait", "--timeout", "60000", "both"); code != 0 {
			t.Errorf("start: exit code %d: %s", code, out)
		}
		runs()
		waitForFile(t, filepath.Join(home, "profiles/both/gateway.pid"))
	}
}

// TestFollowOff: HERMES_FOLLOW=0 disables the reconciler, even if it is in the bundle of
// services. An invalid value keeps no container from booting.
func TestFollowOff(t *testing.T) {
	home := newHomeFor(t, "coder")
	c := newContainer(t, home, "HERMES_FOLLOW=0")
	c.boot()
	c.await(false, "false false\n", "/command/s6-svstat", "-o", "up,wantedup", reconciler)
	// As on a read-only root, where the bundle cannot change.
	c.must(false, "/command/s6-svc", "-u", reconciler)
	c.await(false, "false false\n", "/command/s6-svstat", "-o", "up,wantedup", reconciler)
	c.stop()
	c.env = []string{"HERMES_FOLLOW=1"}
	c.boot()
	c.awaitFollower()
	// Go's runtime has some of these open, but they were not passed to the program.
	const given = `for fd in 3 4 5 6 7 8; do code=0; timeout 30 hermes-reconcile --user hermes --scandir /run/service --follow --notification-fd $fd 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- || code=$?; echo "$fd $code"; done`
	if out, _ := c.exec(false, "sh", "-c", given); strings.Count(out, " 100\n") != 6 {
		t.Errorf("descriptors that are not open, and exit codes:\n%s", out)
	}
	c.stop()
	for _, env := range []string{"HERMES_FOLLOW_INTERVAL=soon", "HERMES_PRUNE_DELAY=-1"} {
		c.env = []string{env}
		c.boot()
		c.awaitSays(1, "fatal: .*"+env[:strings.Index(env, "=")])
		c.await(false, "false false\n", "/command/s6-svstat", "-o", "up,wantedup", reconciler)
		if n := len(c.warnings()); n != 1 {
			t.Errorf("%s: said %d times: %q", env, n, c.warnings())
		}
		c.stop()
	}
}

// TestFollowJunk fills profiles/ with what is not a profile. The reconciler ignores it. If a
// profile is spoilt under a running gateway, the reconciler reports that once, and the gateway
// runs on.
func TestFollowJunk(t *testing.T) {
	home := newHomeFor(t)
	for file, text := range asked(4300) {
		putFile(t, accountUID, home, "profiles/coder/"+file, text)
	}
	junk := 20000
	if *soakFor > time.Minute {
		junk = 100000
	}
	for i := range junk / 2 {
		must.Do(t, os.WriteFile(filepath.Join(home, "profiles", fmt.Sprint("file", i)), nil, 0o644))
		must.Do(t, os.Mkdir(filepath.Join(home, "profiles", fmt.Sprint("junk", i)), 0o755))
	}
	c := follow(t, home)
	pid := c.awaitUp("coder")
	slot := readFile(t, c.path("/run/service/gateway-coder/run"))
	for _, name := range []string{"a\nreconcile: profile=x prior_state=None action=started", "a\n", "\xff", "-", "Upper", strings.Repeat("x", 255)} {
		addProfile(t, home, name, `{"desired_state":"running"}`)
	}
	began := time.Now()
	addProfile(t, home, "late", `{"desired_state":"running"}`)
	c.awaitUp("late")
	took, before := time.Since(began), c.consumes()
	// Once all are looked at again, which is what it costs in each interval.
	c.looked("marker")
	uses := c.consumes()
	t.Logf("beside %d entries a profile is up after %v; the reconciler takes %+v, and for a look at all %v",
		junk, took, uses, uses.processor-before.processor)
	if uses.rss >= 20<<10 {
		t.Errorf("%d KB of memory, want less than %d", uses.rss, 20<<10)
	}
	if out, _ := c.exec(false, "hermes-svstat", "--list"); out != "coder\ndefault\nlate\nmarker\n" {
		t.Errorf("slots: %q", out)
	}
	record := filepath.Join(c.profileDir("coder"), "gateway_service.json")
	replaceFile(t, record, `{"port": "none"`)
	c.awaitSays(1, `profile "coder": `)
	replaceFile(t, filepath.Join(c.profileDir("coder"), "gateway_state.json"), `{"desired_state":"running","x":1}`)
	c.looked("marker0")
	c.looked("marker1")
	if n := c.saysTimes(`profile "coder": `); n != 1 || c.gateway("coder") != pid || readFile(t, c.path("/run/service/gateway-coder/run")) != slot {
		t.Errorf("said %d times; the gateway was %s and is %s", n, pid, c.gateway("coder"))
	}
	replaceFile(t, record, asked(4301)["gateway_service.json"])
	s6test.Await(t, func() error {
		if text := readFile(t, c.path("/run/service/gateway-coder/run")); !strings.Contains(text, "of 4301") {
			return fmt.Errorf("it is not the mended one's: %v", c.did("coder"))
		}
		return nil
	})
	for _, said := range c.did("x") {
		t.Errorf("a name has written a line: %s", said)
	}
}

// TestFollowIdle measures the reconciler of many profiles with nothing to do.
func TestFollowIdle(t *testing.T) {
	profiles, lasts := 200, 5*time.Second
	if *soakFor > time.Minute {
		profiles, lasts = 1000, *soakFor
	}
	home := newHomeFor(t)
	for i := range profiles {
		addProfile(t, home, fmt.Sprint("p", i), `{"desired_state":"stopped"}`)
	}
	c := newContainer(t, home, "HERMES_FOLLOW_INTERVAL=30")
	c.boot()
	c.awaitFollower()
	before, began := c.consumes(), time.Now()
	lapse(lasts)
	after, took := c.consumes(), time.Since(began)
	share := 100 * (after.processor - before.processor).Seconds() / took.Seconds()
	said := fmt.Sprintf("%d profiles, %v: %.2f %% of a processor, %d KB, %d descriptors, %d watches", profiles, took.Round(time.Second), share, after.rss, after.fds, after.watching)
	t.Log(said)
	// It has some open during a look.
	s6test.Await(t, func() error {
		if now := c.consumes(); now.fds > before.fds {
			return fmt.Errorf("%+v; it was %+v", now, before)
		}
		return nil
	})
	if share >= 1 || after.rss >= 20<<10 || after.watching != profiles+2 {
		t.Errorf("%s; it was %+v", said, before)
	}
}

var followChanges = flag.Int("follow-changes", 60, "how many changes TestFollowKilled makes")

// TestFollowKilled makes random changes in a home while the reconciler is killed at any
// moment, and now and then the container. After it has looked again, existing profiles have
// slots, others have none, wanted gateways run, and stopped ones do not.
func TestFollowKilled(t *testing.T) {
	t.Logf("seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 5))
	home := newHomeFor(t, "stays")
	c := follow(t, home, "HERMES_PRUNE_DELAY=300")
	model := map[string]string{"stays": ""} // what is wanted of each existing profile
	var story []string
	for i := range *followChanges {
		story = append(story, c.change(rng, model))
		lapse(time.Duration(rng.IntN(400)) * time.Millisecond) // any moment
		switch rng.IntN(4) {
		case 0:
			story = append(story, "killed")
			c.must(false, "/command/s6-svc", "-k", reconciler)
		case 1:
			story = append(story, "looks at all")
			c.must(false, "/command/s6-svc", "-h", reconciler)
		}
		if i%20 != 19 && i != *followChanges-1 {
			continue
		}
		if i%40 == 39 {
			story = append(story, "the container is killed")
			c.kill()
			c.boot()
		}
		if err := s6test.AwaitErr(func() error { return c.agrees(model) }); err != nil {
			t.Fatalf("%v, after\n%s\n%s", err, strings.Join(story, "\n"), readFile(t, c.path("/run/log")))
		}
		story = nil
	}
}

// change makes a random change in c's home, and in model, and returns its description.
func (c *container) change(rng *rand.Rand, model map[string]string) string {
	c.t.Helper()
	name, other := fmt.Sprint("p", rng.IntN(6)), fmt.Sprint("p", rng.IntN(6))
	state := []string{"running", "stopped"}[rng.IntN(2)]
	_, is := model[name]
	_, otherIs := model[other]
	switch {
	case !is:
		for file, text := range map[string]string{"gateway_state.json": `{"desired_state":"` + state + `"}`, "SOUL.md": ""} {
			putFile(c.t, accountUID, c.home, "profiles/"+name+"/"+file, text)
		}
		model[name] = state
		return name + " is made, " + state
	case rng.IntN(4) == 0:
		// RemoveAll would fail while a gateway writes there.
		must.Do(c.t, os.Rename(c.profileDir(name), filepath.Join(c.t.TempDir(), name)))
		delete(model, name)
		return name + " is deleted"
	case rng.IntN(3) == 0 && !otherIs:
		must.Do(c.t, os.Rename(c.profileDir(name), c.profileDir(other)))
		model[other] = model[name]
		delete(model, name)
		return name + " is renamed to " + other
	}
	c.desire(name, state)
	model[name] = state
	return name + " is to be " + state
}

// agrees returns nil if the slots and their gateways are as model says.
func (c *container) agrees(model map[string]string) error {
	out, _ := c.exec(false, "hermes-svstat", "-o", "name,up")
	want := "default false\n" // before all that start with p
	for _, name := range slices.Sorted(maps.Keys(model)) {
		want += fmt.Sprintf("%s %v\n", name, model[name] == "running")
	}
	if out != want {
		return fmt.Errorf("slots and gateways:\n%swant:\n%s", out, want)
	}
	return nil
}

//go:build linux

package test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hermes-s6/lib/must"
	"hermes-s6/lib/proc"
	"hermes-s6/lib/s6/s6test"
)

// A svstatFollower is a running hermes-svstat --follow --json, and what it has printed.
type svstatFollower struct {
	t     *testing.T
	cmd   *exec.Cmd
	mutex sync.Mutex
	rows  map[string][]string // each row without what changes with time alone
	done  chan struct{}       // its stdout has ended
}

// timeless returns a row of --json without what changes with time alone.
func timeless(t *testing.T, line string) (name, row string) {
	t.Helper()
	var keys map[string]any
	if err := json.Unmarshal([]byte(line), &keys); err != nil {
		t.Errorf("%q: %v", line, err)
		return "", ""
	}
	for _, key := range []string{"seconds", "deaths", "next_start_in"} {
		delete(keys, key)
	}
	text, err := json.Marshal(keys)
	must.Do(t, err)
	name, _ = keys["name"].(string)
	return name, string(text)
}

// follow starts a follower on p, and ends it with the test.
func (p place) follow(t *testing.T, args ...string) *svstatFollower {
	t.Helper()
	return followBy(t, p.command("hermes-svstat", append([]string{"--follow", "--json"}, args...)...))
}

func followBy(t *testing.T, cmd *exec.Cmd) *svstatFollower {
	t.Helper()
	f := &svstatFollower{t: t, cmd: cmd, rows: map[string][]string{}, done: make(chan struct{})}
	out, err := f.cmd.StdoutPipe()
	must.Do(t, err)
	must.Do(t, f.cmd.Start())
	t.Cleanup(func() { _ = f.cmd.Process.Kill(); <-f.done; _ = f.cmd.Wait() })
	go func() {
		defer close(f.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			name, row := timeless(t, lines.Text())
			f.mutex.Lock()
			if all := f.rows[name]; len(all) > 0 && all[len(all)-1] == row {
				t.Errorf("a row twice: %s", row)
			}
			f.rows[name] = append(f.rows[name], row)
			f.mutex.Unlock()
		}
	}()
	return f
}

// told returns how many rows of name there were, and the last one.
func (f *svstatFollower) told(name string) (n int, last string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if n = len(f.rows[name]); n > 0 {
		last = f.rows[name][n-1]
	}
	return n, last
}

// await waits until the last row of name contains text.
func (f *svstatFollower) await(name, text string) {
	f.t.Helper()
	s6test.Await(f.t, func() error {
		if _, last := f.told(name); !strings.Contains(last, text) {
			return fmt.Errorf("%s: want %s: %s", name, text, last)
		}
		return nil
	})
}

// awaitSame waits until the last row of each is what a new hermes-svstat prints.
func (f *svstatFollower) awaitSame(p place) {
	f.t.Helper()
	awaitMoves(f.t, func() error {
		out, err := p.command("hermes-svstat", "--json").Output()
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
			return err
		}
		now := map[string]bool{}
		for line := range strings.Lines(string(out)) {
			name, row := timeless(f.t, line)
			if now[name] = true; row == "" {
				return errors.New("no row")
			}
			if _, last := f.told(name); last != row {
				return fmt.Errorf("told:\n%s\nis:\n%s", last, row)
			}
		}
		f.mutex.Lock()
		defer f.mutex.Unlock()
		for name, rows := range f.rows {
			if last := rows[len(rows)-1]; now[name] == strings.Contains(last, `"removed"`) {
				return fmt.Errorf("%s: is there: %v: told: %s", name, now[name], last)
			}
		}
		return nil
	})
}

// plainSlot makes a slot with nothing but a run script, in one step, and its profile.
func (p place) plainSlot(t *testing.T, name string) {
	t.Helper()
	p.addProfile(t, name, "")
	staged := filepath.Join(p.scan, ".staged-"+name)
	writeService(t, staged, map[string]string{"run": "exec sleep 100000"})
	must.Do(t, os.Rename(staged, p.slot(name)))
}

func (p place) slot(name string) string { return filepath.Join(p.scan, "gateway-"+name) }

// records writes a gateway_state.json for name.
func (p place) records(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(p.home, "profiles", name, "gateway_state.json")
	must.Do(t, os.WriteFile(path+".of-test", []byte(text), 0o644))
	must.Do(t, os.Rename(path+".of-test", path))
}

// A changing is what TestSvstatFollow changes, and the minimum and maximum number of rows for
// each.
type changing struct {
	t           *testing.T
	p           place
	f           *svstatFollower
	commands    []*exec.Cmd // of this round, which are running
	desired     map[string]string
	least, most map[string]int
}

// changes are single changes. Each leads to one row, except that a gateway that is started or
// stopped has a row for each intermediate state that lasts.
var changes = []func(c *changing, name string){
	func(c *changing, name string) { // what is wanted
		state := "running"
		if c.desired[name] == state {
			state = "stopped"
		}
		c.desired[name] = state
		c.p.records(c.t, name, `{"desired_state":"`+state+`"}`)
		c.expect(name, 1, 1)
	},
	func(c *changing, name string) { // whether it starts by itself
		down := filepath.Join(c.p.slot(name), "down")
		if err := os.Remove(down); err != nil {
			must.Do(c.t, os.WriteFile(down, nil, 0o644))
		}
		c.expect(name, 1, 1)
	},
	func(c *changing, name string) { // what it says about itself
		pid := c.p.supervisedPID(name)
		if pid <= 0 {
			return
		}
		start, _ := proc.StartTime(pid)
		c.p.records(c.t, name, fmt.Sprintf(`{"desired_state":%q,"pid":%d,"start_time":%d,"gateway_state":"running","active_agents":%d}`,
			c.desired[name], pid, start, rand.IntN(1<<20)))
		most := 1
		if c.desired[name] == "" { // "" is no state, and so another one
			most = 2
		}
		c.expect(name, 1, most)
	},
	func(c *changing, name string) { // it is down, or up
		if c.p.supervisedPID(name) > 0 {
			c.command("-wD", "-d", name)
			c.expect(name, 1, 3)
		} else {
			c.command("-wu", "-u", name)
			c.expect(name, 1, 3)
		}
	},
	func(c *changing, name string) { // it dies
		if c.p.supervisedPID(name) > 0 {
			c.command("-wr", "-k", name)
			c.expect(name, 1, 4)
		}
	},
}

// command has a supervisor do something, and waits for that at the end of the round.
func (c *changing) command(wait, do, name string) {
	c.t.Helper()
	cmd := exec.Command("s6-svc", wait, do, c.p.slot(name))
	must.Do(c.t, cmd.Start())
	c.commands = append(c.commands, cmd)
}

// supervisedPID returns the pid of a gateway that is up, else -1.
func (p place) supervisedPID(name string) (pid int) {
	out, _ := exec.Command("s6-svstat", "-o", "pid", p.slot(name)).Output()
	if _, err := fmt.Sscan(string(out), &pid); err != nil {
		return -1
	}
	return pid
}

func (c *changing) expect(name string, least, most int) {
	c.least[name] += least
	c.most[name] += most
}

// TestSvstatFollow: of 200 gateways under random changes each change is reported once, and the
// last row of each is its present state. Without changes the follower is idle. SIGINT ends it.
func TestSvstatFollow(t *testing.T) {
	p := newPlace(t)
	must.Do(t, os.MkdirAll(p.scan, 0o755))
	all := names(200)
	for _, name := range all {
		p.plainSlot(t, name)
	}
	s6test.Start(t, p.scan, p.env(), s6test.MaxServices(500)...)
	for _, name := range all { // one that comes up after the count adds a row
		s6test.Await(t, func() error {
			if p.supervisedPID(name) < 1 {
				return fmt.Errorf("%s is not up: %w", name, s6test.ErrNot)
			}
			return nil
		})
	}
	f := p.follow(t)
	f.awaitSame(p)
	c := &changing{t, p, f, nil, map[string]string{}, map[string]int{}, map[string]int{}}
	for _, name := range all {
		c.least[name], _ = f.told(name)
		c.most[name] = c.least[name]
	}
	for range 5 {
		for _, i := range rand.Perm(len(all))[:60] {
			changes[rand.IntN(len(changes))](c, all[i])
		}
		for _, cmd := range c.commands {
			must.Do(t, cmd.Wait())
		}
		c.commands = nil
		f.awaitSame(p)
	}
	for _, name := range all {
		if n, _ := f.told(name); n < c.least[name] || n > c.most[name] {
			t.Errorf("%s: %d rows, want %d to %d:\n%s", name, n, c.least[name], c.most[name], strings.Join(f.rows[name], "\n"))
		}
	}
	f.awaitIdle()
	if got := usageOfWatches(f.cmd.Process.Pid); got > 4*len(all)+10 {
		t.Errorf("%d watches", got)
	}
	if _, fds := usageOf(fmt.Sprint("/proc/", f.cmd.Process.Pid)); fds > 16 {
		t.Errorf("%d descriptors", fds)
	}
	must.Do(t, f.cmd.Process.Signal(os.Interrupt))
	f.ends(syscall.SIGINT)
}

// awaitIdle waits for two seconds in which it does not run.
func (f *svstatFollower) awaitIdle() {
	f.t.Helper()
	switches := func() (all string) {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", f.cmd.Process.Pid))
		for _, task := range tasks {
			text, _ := os.ReadFile(task)
			_, counts, _ := strings.Cut(string(text), "\nvoluntary_ctxt_switches:")
			all += counts
		}
		return all
	}
	s6test.Await(f.t, func() error {
		before := switches()
		lapse(2 * time.Second)
		if after := switches(); after != before || before == "" {
			return fmt.Errorf("it runs: %q, then %q", before, after)
		}
		return nil
	})
}

// ends waits for the end by a signal.
func (f *svstatFollower) ends(by syscall.Signal) {
	f.t.Helper()
	select {
	case <-f.done:
	case <-time.After(s6test.Patience):
		f.t.Fatal("it does not end")
	}
	_ = f.cmd.Wait()
	if s := f.cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != by {
		f.t.Errorf("it ended with %v, want %v", f.cmd.ProcessState, by)
	}
}

func usageOfWatches(pid int) (n int) {
	infos, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	for _, info := range infos {
		text, _ := os.ReadFile(info)
		n += strings.Count(string(text), "inotify wd:")
	}
	return n
}

// TestSvstatFollowAgain: slots disappear and return, and so do a scan directory and a home.
func TestSvstatFollowAgain(t *testing.T) {
	p := newPlace(t)
	p.plainSlot(t, "coder")
	f, named, path := p.follow(t), p.follow(t, "coder"), p.follow(t, p.slot("coder"))
	f.await("coder", `"supervised":false`)
	named.await("coder", `"supervised":false`)
	path.await("coder", `"supervised":false`)
	must.Do(t, os.Rename(p.slot("coder"), p.scan+"/.away"))
	f.await("coder", `"removed":true`)
	named.await("coder", `"removed":true`)
	path.await("coder", `"removed":true`)
	must.Do(t, os.Rename(p.scan+"/.away", p.slot("coder")))
	f.await("coder", `"supervised":false`)
	must.Do(t, os.RemoveAll(p.scan))
	f.await("coder", `"removed":true`)
	must.Do(t, os.MkdirAll(p.scan, 0o755))
	p.plainSlot(t, "trader")
	f.await("trader", `"supervised":false`)
	must.Do(t, os.Rename(p.scan, p.scan+"-old"))
	f.await("trader", `"removed":true`)
	must.Do(t, os.Rename(p.scan+"-old", p.scan))
	f.await("trader", `"supervised":false`)
	p.records(t, "trader", `{"desired_state":"running"}`)
	f.await("trader", `"desired_state":"running"`)
	must.Do(t, os.Rename(p.home, p.home+"-old"))
	f.await("trader", `"desired_state":null`)
	must.Do(t, os.Rename(p.home+"-old", p.home))
	f.await("trader", `"desired_state":"running"`)
	p.plainSlot(t, "coder")
	named.await("coder", `"supervised":false`)
	path.await("coder", `"supervised":false`)
	f.awaitSame(p)
	f.awaitIdle()
}

// TestSvstatFollowUnread: a follower without a reader ends, even if it has nothing to print.
func TestSvstatFollowUnread(t *testing.T) {
	p := newPlace(t)
	r, w, err := os.Pipe()
	must.Do(t, err)
	f := &svstatFollower{t: t, cmd: p.command("hermes-svstat", "--follow"), done: make(chan struct{})}
	f.cmd.Stdout = w
	must.Do(t, f.cmd.Start())
	w.Close()
	if line, err := bufio.NewReader(r).ReadString('\n'); !strings.HasPrefix(line, "NAME ") {
		t.Errorf("%q, %v", line, err)
	}
	r.Close()
	go func() { _ = f.cmd.Wait(); close(f.done) }()
	f.ends(syscall.SIGPIPE)
}

// TestSvstatFollowStorm: a gateway that writes a thousand times a second is reported a few
// times a second, and in its final state.
func TestSvstatFollowStorm(t *testing.T) {
	p := newPlace(t)
	p.plainSlot(t, "coder")
	f := p.follow(t)
	f.await("coder", `"supervised":false`)
	began := time.Now()
	for i := range 2000 {
		p.records(t, "coder", fmt.Sprintf(`{"desired_state":%q}`, []string{"running", "stopped"}[i%2]))
	}
	p.records(t, "coder", `{"desired_state":"unheard of"}`)
	f.await("coder", `"desired_state":"unknown"`)
	if n, _ := f.told("coder"); n > int(time.Since(began)/(250*time.Millisecond))+3 {
		t.Errorf("%d rows in %v", n, time.Since(began))
	}
}

// TestSvstatFollowLimits: if the kernel has no watches left, the follower reports that once,
// and looks regularly.
func TestSvstatFollowLimits(t *testing.T) {
	p := newPlace(t)
	for _, name := range names(5) {
		p.plainSlot(t, name)
	}
	few := `echo 6 >/proc/sys/user/max_inotify_watches && exec hermes-svstat --follow --json`
	cmd := p.command("unshare", "-Ur", "sh", "-c", few)
	if err := p.command("unshare", "-Ur", "sh", "-c", "echo 6 >/proc/sys/user/max_inotify_watches").Run(); err != nil {
		leaveOut(t, "no user namespaces here")
	}
	var said strings.Builder
	cmd.Stderr = &said
	f := followBy(t, cmd)
	for _, name := range names(5) {
		f.await(name, `"supervised":false`)
		must.Do(t, os.WriteFile(filepath.Join(p.slot(name), "down"), nil, 0o644))
	}
	for _, name := range names(5) {
		f.await(name, `"normallyup":false`)
	}
	must.Do(t, f.cmd.Process.Signal(os.Interrupt))
	f.ends(syscall.SIGINT)
	if n := strings.Count(said.String(), "no space left on device"); n != 1 {
		t.Errorf("said %d times: %s", n, said.String())
	}
}

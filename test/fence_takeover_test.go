//go:build linux

package test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestFenceTakeOver ends what runs ten gateways: the processes, by SIGKILL, their container,
// by SIGKILL, and their container with an orderly stop. Each time the other container takes
// all of them over, with the settings on record. The log is complete: it has each printed line
// once, except for the last ones when a container was killed.
func TestFenceTakeOver(t *testing.T) {
	f := newFleet(t, 2, names(10), "")
	one, two := f.members[0], f.members[1]
	want := f.settings(one)
	two.boot()
	at := func(c *container) {
		t.Helper()
		f.awaitRoles(f.members, func(string) *container { return c })
	}
	at(one)

	var took []time.Duration
	for _, p := range f.profiles {
		r := f.runners()[p]
		if len(r) != 1 {
			t.Fatalf("%s runs %d times", p, len(r))
		}
		fell := time.Now()
		slay(r[0].pid)
		took = append(took, f.awaitLife(p, two, fell).Sub(fell))
	}
	logTimes(t, "process killed", took)
	at(two)

	fell := time.Now()
	slay(two.pid)
	logTimes(t, "container killed", f.awaitLives(one, func(string) time.Time { return fell }))
	lost := f.last(two)
	two.kill()
	two.boot()
	at(one)

	one.stop()
	last := f.last(one)
	logTimes(t, "container stopped", f.awaitLives(two, func(p string) time.Time { return time.Unix(0, last[p].end) }))
	one.boot()
	at(two)

	if codes := f.everywhere("hermes-svc", "stop", "--wait", "--timeout", "60000", "--all"); !slices.Equal(codes, []int{0, 0}) {
		t.Errorf("stop: exit codes %v", codes)
	}
	for _, p := range f.profiles {
		for _, l := range f.lives(p) {
			if l.settings != want[p] {
				t.Errorf("%s ran with %q, want %q", p, l.settings, want[p])
			}
		}
		awaitMoves(t, func() error { return f.whole(p, lost[p].id) })
	}
}

// settings boots c, registers the gateways there, each with its own settings, which it
// returns, and starts them. They print.
func (f *fleet) settings(c *container) map[string]string {
	f.t.Helper()
	c.boot()
	want := map[string]string{}
	for i, p := range f.profiles {
		putFile(f.t, accountUID, f.home, "profiles/"+p+"/bursts", "")
		port, token := strconv.Itoa(23000+i), "it's "+p
		if out, code := c.exec(false, "hermes-svc-register", "--replace", "--port", port, "--env", "TOKEN="+token, p); code != 0 {
			f.t.Fatal(out)
		}
		want[p] = fmt.Sprintf("port=%s TOKEN=%s", port, token)
	}
	if out, code := c.exec(false, "hermes-svc", "start", "--wait", "--timeout", "60000", "--all"); code != 0 {
		f.t.Fatal(out)
	}
	return want
}

// awaitLife waits until a profile's gateway has begun to run in c after the given time, and
// returns when that was.
func (f *fleet) awaitLife(profile string, c *container, after time.Time) (began time.Time) {
	f.t.Helper()
	awaitMoves(f.t, func() error {
		all := f.lives(profile)
		for _, l := range all {
			if l.host == c.host() && l.began > after.UnixNano() {
				began = time.Unix(0, l.began)
				return nil
			}
		}
		return fmt.Errorf("%s does not run in %s since %v, but did: %v", profile, c.host(), after, all)
	})
	return began
}

// awaitLives is awaitLife for all, each after its lock was released. It returns how long each
// took.
func (f *fleet) awaitLives(c *container, fell func(profile string) time.Time) (took []time.Duration) {
	f.t.Helper()
	for _, p := range f.profiles {
		took = append(took, f.awaitLife(p, c, fell(p)).Sub(fell(p)))
	}
	return took
}

// last returns the last life of each gateway in c.
func (f *fleet) last(c *container) map[string]life {
	f.t.Helper()
	last := map[string]life{}
	for _, p := range f.profiles {
		for _, l := range f.lives(p) {
			if l.host == c.host() {
				last[p] = l
			}
		}
	}
	return last
}

// logTimes logs the distribution of times.
func logTimes(t *testing.T, what string, times []time.Duration) {
	t.Helper()
	slices.Sort(times)
	for i := range times {
		times[i] = times[i].Round(100 * time.Microsecond)
	}
	t.Logf("%s, from the fall of the lock to the other's first instruction: median %v, all %v", what, times[len(times)/2], times)
}

var printedLine = regexp.MustCompile(`^\S+ \S+  line (\S+) ([0-9]+)\.$`)

// whole returns nil if the log of a profile's gateway has each printed line once. The process
// lost was killed together with its logger, so its last line may be missing.
func (f *fleet) whole(profile, lost string) error {
	logged := map[string][]int{}
	files, _ := filepath.Glob(filepath.Join(f.home, "logs/gateways", profile, "*"))
	for _, file := range files {
		if name := filepath.Base(file); name != "current" && !strings.HasPrefix(name, "@") {
			continue
		}
		for line := range strings.Lines(readFile(f.t, file)) {
			if m := printedLine.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
				n, _ := strconv.Atoi(m[2])
				logged[m[1]] = append(logged[m[1]], n)
			}
		}
	}
	all := f.lives(profile)
	if len(all) < 4 {
		return fmt.Errorf("%s was taken over less than three times: %v", profile, all)
	}
	for _, l := range all {
		numbers := logged[l.id]
		slices.Sort(numbers)
		for i, n := range numbers {
			if i != n {
				return fmt.Errorf("%s: of %s line %d is in the log where %d is to be: %d lines", profile, l.id, n, i, len(numbers))
			}
		}
		counter, err := os.ReadFile(filepath.Join(f.home, "profiles", profile, "printed", strconv.FormatInt(l.began, 10)))
		if err != nil || len(counter) != 8 {
			return fmt.Errorf("%s: %s has no counter: %v", profile, l.id, err)
		}
		// It may have been killed between a line and its counter.
		printed := int(binary.NativeEndian.Uint64(counter))
		if more := len(numbers) - printed; more > 1 || more < 0 && l.id != lost {
			return fmt.Errorf("%s: %s has printed %d lines, %d are in the log", profile, l.id, printed, len(numbers))
		}
	}
	return nil
}

//go:build linux

package s6

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"hermes-s6/lib/must"
)

// A clock jumps when it is set. So a stamp can lie in the future, or further back than any
// process has been running, and a damaged file can contain anything.

// stampOf returns what s6-supervise up to 2.12 writes for a service that is up as pid.
func stampOf(since TAI64N, pid int64) []byte {
	b := make([]byte, statusSize)
	copy(b, since[:])
	copy(b[12:], since[:])
	binary.BigEndian.PutUint64(b[24:], uint64(pid))
	b[34] = 4 // wanted up
	return b
}

func decodeAt(t *testing.T, now time.Time, b []byte) *Status {
	t.Helper()
	st := &Status{Now: taiOf(now)}
	if !st.decode(b) {
		t.Fatal("not decoded")
	}
	return st
}

var far = map[string]TAI64N{
	"zero":        {},
	"all ones":    TAI64N(bytes.Repeat([]byte{0xff}, 12)),
	"1970":        taiOf(time.Unix(0, 0)),
	"before 1970": taiOf(time.Unix(-1, 0)),
	"year 3000":   taiOf(time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)),
	"in a second": taiOf(time.Unix(1795396853+1, 0)),
	"no such ns":  {0x40, 0, 0, 0, 0x6b, 3, 0x87, 9, 0xff, 0xff, 0xff, 0xff},
	"largest":     TAI64N(append([]byte{0x7f}, bytes.Repeat([]byte{0xff}, 11)...)),
}

// TestFarStamps: no stamp leads to an absurd time span. A negative one, without a sign, would
// be 584 thousand million years. What cannot be a date is not shown as one.
func TestFarStamps(t *testing.T) {
	now := time.Unix(1795396853, 0)
	for name, l := range far {
		st := decodeAt(t, now, stampOf(l, 3432))
		if !st.Up() || st.PID != 3432 {
			t.Errorf("%s: %+v", name, st)
		}
		if st.Since.Time().After(now) {
			t.Errorf("%s: since %v, which is to come", name, st.Since.Time())
		}
		if !st.Dated() {
			continue
		}
		if s := st.Seconds(); s > uint64(now.Unix()) {
			t.Errorf("%s: for %d s", name, s)
		}
		if y := st.Since.Time().Year(); y < 1970 || y > now.Year() {
			t.Errorf("%s: in the year %d", name, y)
		}
	}
	for name, want := range map[string]bool{"zero": false, "before 1970": false, "1970": true, "year 3000": true} {
		if got := decodeAt(t, now, stampOf(far[name], 1)).Dated(); got != want {
			t.Errorf("%s: Dated is %t", name, got)
		}
	}
	if (&Status{}).Dated() {
		t.Error("what is not known has no date")
	}
}

// TestSameInTheFuture: what distinguishes two runs, for which a restart waits, is the stamp as
// written, not the time derived from it.
func TestSameInTheFuture(t *testing.T) {
	now := time.Unix(1795396853, 0)
	l := taiOf(now.Add(time.Hour))
	before := decodeAt(t, now, stampOf(l, 3432))
	if later := decodeAt(t, now.Add(time.Minute), stampOf(l, 3432)); !later.Same(before) {
		t.Error("a minute has made another run of it")
	}
	if back := decodeAt(t, now.Add(-24*time.Hour), stampOf(l, 3432)); !back.Same(before) {
		t.Error("a clock set back has made another run of it")
	}
	// Started again under the same pid, both times in the future.
	if next := decodeAt(t, now, stampOf(taiOf(now.Add(time.Hour+time.Second)), 3432)); next.Same(before) {
		t.Error("another run is taken for the same")
	}
	// The clock was set back between the two.
	if next := decodeAt(t, now, stampOf(taiOf(now), 3433)); next.Same(before) {
		t.Error("another run, of an earlier stamp, is taken for the same")
	}
}

// TestDeathsInTheFuture: deaths from before a clock was set back do not count as the last
// minute's until the clock reaches that time again.
func TestDeathsInTheFuture(t *testing.T) {
	now := time.Unix(1795396853, 0)
	var deaths []Death
	for _, l := range far {
		if l != far["in a second"] && l != far["no such ns"] {
			deaths = append(deaths, Death{At: l})
		}
	}
	for _, ahead := range []time.Duration{time.Hour, 24 * time.Hour} {
		deaths = append(deaths, Death{At: taiOf(now.Add(ahead))})
	}
	if n := DeathsWithin(deaths, taiOf(now), time.Minute); n != 0 {
		t.Errorf("%d deaths in the last minute, want none", n)
	}
	// A death that happened after we took the time, or while the clock was slewed, counts.
	for _, ahead := range []time.Duration{0, time.Millisecond, time.Second} {
		if n := DeathsWithin([]Death{{At: taiOf(now.Add(ahead))}}, taiOf(now), time.Minute); n != 1 {
			t.Errorf("a death %v from now: %d in the last minute, want 1", ahead, n)
		}
	}
}

// justStarted returns what f says about a process that is less than a second old while f runs.
// It tries other processes until f is fast enough for that.
func justStarted(t *testing.T, f func(pid int) bool) bool {
	t.Helper()
	for limit := time.Now().Add(time.Minute); ; {
		began := time.Now()
		cmd := exec.Command("sleep", "100000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		must.Do(t, cmd.Start())
		answer := f(cmd.Process.Pid)
		took := time.Since(began)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if took < time.Second {
			return answer
		}
		if time.Now().After(limit) {
			t.Fatalf("it takes %v to look at a process", took)
		}
	}
}

// TestOrphanInTheFuture: a process that has just started is not mistaken for a gateway whose
// stamp lies in the future. It would be killed.
func TestOrphanInTheFuture(t *testing.T) {
	for name, c := range map[string]struct {
		since func(now time.Time) TAI64N
		want  bool
	}{
		"its own":     {taiOf, true},
		"an hour on":  {func(now time.Time) TAI64N { return taiOf(now.Add(time.Hour)) }, false},
		"an hour ago": {func(now time.Time) TAI64N { return taiOf(now.Add(-time.Hour)) }, false},
		"zero":        {func(time.Time) TAI64N { return far["zero"] }, false},
		"all ones":    {func(time.Time) TAI64N { return far["all ones"] }, false},
		"largest":     {func(time.Time) TAI64N { return far["largest"] }, false},
	} {
		got := justStarted(t, func(pid int) bool {
			now := time.Now()
			return decodeAt(t, now, stampOf(c.since(now), int64(pid))).Orphaned()
		})
		if got != c.want {
			t.Errorf("%s: Orphaned is %t", name, got)
		}
	}
	for _, pid := range []int64{0, -1, 1 << 40, -1 << 62, int64(os.Getpid())} {
		if st := decodeAt(t, time.Now(), stampOf(far["zero"], pid)); st.Orphaned() {
			t.Errorf("pid %d: an orphan", pid)
		}
	}
}

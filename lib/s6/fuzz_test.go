//go:build linux

package s6

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/must"
)

// statuses are seeds: real ones, and some that no s6 wrote.
func statuses(f *testing.F) [][]byte {
	var seeds [][]byte
	for _, s := range []string{status2113, status2131, finishing} {
		b, err := hex.DecodeString(s)
		must.Do(f, err)
		seeds = append(seeds, b)
	}
	for _, size := range []int{0, statusSize - 1, statusSize, statusSize213, statusSize213 + 1} {
		seeds = append(seeds, make([]byte, size), bytes.Repeat([]byte{0xff}, size))
	}
	return seeds
}

// FuzzStatus: any bytes of one of the two sizes are a status, others are not, and every
// question about a status has an answer.
func FuzzStatus(f *testing.F) {
	for _, b := range statuses(f) {
		f.Add(b, int64(1795396853))
	}
	f.Fuzz(func(t *testing.T, b []byte, now int64) {
		st := Status{Now: taiOf(time.Unix(now, 0))}
		if st.decode(b) != (len(b) == statusSize || len(b) == statusSize213) {
			t.Fatalf("decoded %d bytes: %v", len(b), st.Known)
		}
		if again := (Status{Now: st.Now}); again.decode(b) && again != st {
			t.Errorf("%x is %+v, then %+v", b, st, again)
		}
		for _, supervised := range []bool{false, true} {
			st.Supervised = supervised
			for _, name := range Fields {
				if name == "normallyup" {
					continue // not in a status
				}
				if v := st.Field(name); v == "" || strings.ContainsAny(v, " \n") {
					t.Errorf("%x: %s is %q", b, name, v)
				}
			}
			st.Orphaned()
		}
		if st.Up() && st.Down() || st.Ready() && st.Down() {
			t.Errorf("%x: %+v", b, st)
		}
		if st.ExitCode() >= 0 && st.Signal() >= 0 {
			t.Errorf("%x: exit code %d, signal %d", b, st.ExitCode(), st.Signal())
		}
		var since TAI64N
		if !since.Parse(st.Since.String()) || since != st.Since {
			t.Errorf("%s is read as %s", st.Since, since)
		}
	})
}

// FuzzStatusParse: an s6-svstat of another version may print anything.
func FuzzStatusParse(f *testing.F) {
	f.Add("true true false false 3432 -1 -1 @400000006b03870926f0e556 @400000006b03870926a4751e")
	f.Add("false true false false -1 256 -1 @400000006b03870926f0e556 @ffffffffffffffffffffffff")
	f.Fuzz(func(t *testing.T, out string) {
		var st Status
		if st.parse(out) != nil {
			return
		}
		words := strings.Fields(out)
		for i, name := range strings.Split(asked, ",") {
			if got := st.Field(name); strings.HasSuffix(name, "since") && got != strings.ToLower(words[i]) {
				t.Errorf("%q: %s is %q", out, name, got)
			}
		}
	})
}

// FuzzStatusAgreesWithS6 has the installed s6-svstat read the same bytes.
func FuzzStatusAgreesWithS6(f *testing.F) {
	svstat, err := Programs("").Path("s6-svstat")
	if err != nil {
		f.Fatalf("%v: run `make deps`", err)
	}
	const sec, nano = 0x400000006b038709, 0x26f0e556
	f.Add(uint64(sec), uint32(nano), uint64(sec), uint32(nano), uint64(0), uint16(0), byte(1))
	for flags := range byte(16) {
		f.Add(uint64(sec), uint32(nano), uint64(1<<62), uint32(nano+1), uint64(3432), uint16(3<<8), flags)
		f.Add(uint64(sec), uint32(nano), uint64(0), uint32(1<<31), uint64(0), uint16(9), flags)
	}
	f.Add(uint64(sec), uint32(nano), uint64(sec), uint32(0), uint64(1<<32+5), uint16(0), byte(4)) // not a pid_t
	f.Add(uint64(sec), uint32(nano), uint64(sec), uint32(0), uint64(1<<32), uint16(0), byte(4))
	f.Add(uint64(1<<63), uint32(1<<31), uint64(1<<63), uint32(0), uint64(1<<31), uint16(0x7f), byte(0xff))
	// s6-svstat trusts a status if the lock is held.
	dir := f.TempDir()
	must.Do(f, os.Mkdir(dir+superviseDir, 0o755))
	lock, err := os.Create(dir + lockFile)
	must.Do(f, err)
	f.Cleanup(func() { lock.Close() })
	must.Do(f, unix.FcntlFlock(lock.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
	fields := slices.DeleteFunc(slices.Clone(Fields), func(name string) bool { return name == "normallyup" }) // not in a status
	ask := func(status []byte) ([]string, error) {
		if err := os.WriteFile(dir+statusFile, status, 0o644); err != nil {
			return nil, err
		}
		out, err := exec.Command(svstat, "-o", strings.Join(fields, ","), dir).Output()
		return strings.Fields(string(out)), err
	}
	// The larger status is 2.13's, and only 2.13 rejects the other as too short. Earlier
	// versions have no pgid and fail as long as it is asked for.
	size := statusSize
	if _, err := ask(make([]byte, size)); err != nil {
		size = statusSize213
	}
	if _, err := ask(make([]byte, size)); err != nil {
		size = statusSize
		fields = slices.DeleteFunc(fields, func(name string) bool { return name == "pgid" })
	}
	if _, err := ask(make([]byte, size)); err != nil {
		f.Fatalf("%s: %v", svstat, err)
	}
	f.Fuzz(func(t *testing.T, sec uint64, nano uint32, readySec uint64, readyNano uint32, pid uint64, wait uint16, flags byte) {
		if int32(pid) == 0 {
			flags &^= 1 // since 2.13.2: never started; earlier versions do not write that
		}
		b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, sec), nano)
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, readySec), readyNano)
		b = binary.BigEndian.AppendUint64(b, pid)
		if size == statusSize213 {
			b = binary.BigEndian.AppendUint64(b, pid) // the process group of a session leader
		}
		b = append(binary.BigEndian.AppendUint16(b, wait), flags)
		st := Status{Now: taiOf(time.Now())}
		if !st.decode(b) {
			t.Fatalf("%d bytes are not decoded", len(b))
		}
		words, err := ask(b)
		if err != nil || len(words) != len(fields) {
			t.Fatalf("%x: %q, %v", b, words, err)
		}
		for i, name := range fields {
			got := st.Field(name)
			switch {
			case got == words[i]:
			case name == "signal" && (st.Signal() == int(unix.SIGABRT) || st.Signal() == int(unix.SIGIO)): // see Service.Field
			case name == "updownsince" && st.Since == st.Now: // a stamp in the future is the time of asking
			case strings.HasSuffix(name, "for"): // the clock goes on
				a, _ := strconv.ParseUint(got, 10, 64)
				b, err := strconv.ParseUint(words[i], 10, 64)
				if err != nil || b-a > 5 {
					t.Errorf("%x: %s is %s, s6 says %s", st.stamp, name, got, words[i])
				}
			default:
				t.Errorf("%x: %s is %s, s6 says %s", b, name, got, words[i])
			}
		}
	})
}

func FuzzDeaths(f *testing.F) {
	f.Add([]byte{}, int64(0), int64(time.Minute))
	f.Add(bytes.Repeat([]byte{0x40}, 2*deathSize+3), int64(1795393253), int64(time.Minute))
	f.Add(bytes.Repeat([]byte{0xff}, deathSize), int64(-1), int64(-1))
	f.Add(append([]byte{0x40}, make([]byte, deathSize-1)...), int64(10), int64(59999999944))
	f.Fuzz(func(t *testing.T, b []byte, now, span int64) {
		deaths := decodeDeaths(b)
		if len(deaths) != len(b)/deathSize {
			t.Fatalf("%d bytes hold %d deaths", len(b), len(deaths))
		}
		for i, d := range deaths {
			packed := append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, d.At.sec()), d.At.nano()), byte(d.Code), byte(d.Signal))
			if !bytes.Equal(packed, b[i*deathSize:][:deathSize]) {
				t.Errorf("%x is %+v", b[i*deathSize:][:deathSize], d)
			}
		}
		at := taiOf(time.Unix(now, 0))
		n := DeathsWithin(deaths, at, time.Duration(span))
		if n < 0 || n > len(deaths) {
			t.Errorf("%d of %d deaths", n, len(deaths))
		}
		if uint64(now) >= 1<<40 || span < 0 {
			return // these times may overflow
		}
		if half := DeathsWithin(deaths, at, time.Duration(span/2)); half > n {
			t.Errorf("%d deaths in half of the time, %d in all of it", half, n)
		}
	})
}

//go:build linux

package logs

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/inotify"
	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

// A shelf is a directory of log directories, and a Set that prints them into out.
type shelf struct {
	Set
	t     *testing.T
	root  string
	out   bytes.Buffer
	said  []string
	small bool // buffers are small, so that most lines are longer
}

func newShelf(t *testing.T, names ...string) *shelf {
	s := &shelf{t: t, root: t.TempDir()}
	for _, name := range names {
		must.Do(t, os.Mkdir(filepath.Join(s.root, name), 0o755))
	}
	s.Set = Set{
		Open:  func(name string) (*dir.Dir, error) { return dir.Open(filepath.Join(s.root, name)) },
		Names: func() ([]string, error) { return names, nil },
		Lines: -1, Printer: Printer{Out: bufio.NewWriter(&s.out)}, all: -1, watch: &inotify.Watch{FD: -1},
		Warn: func(format string, args ...any) { s.said = append(s.said, fmt.Sprintf(format, args...)) },
	}
	return s
}

func (s *shelf) path(name, file string) string { return filepath.Join(s.root, name, file) }

func (s *shelf) write(name, file, text string) {
	s.t.Helper()
	f, err := os.OpenFile(s.path(name, file), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	must.Do(s.t, err)
	_, err = f.WriteString(text)
	must.Do(s.t, err)
	must.Do(s.t, f.Close())
}

// print runs the Set once and returns what it printed.
func (s *shelf) print() string {
	s.t.Helper()
	failed, _, err := s.Run()
	if err != nil || len(failed) > 0 {
		s.t.Fatal(err, failed)
	}
	defer s.out.Reset()
	s.logs = nil
	return s.out.String()
}

// label returns a rotated file's name. For 0 that is 2026-11-29, on the hour.
func label(at int) string {
	return fmt.Sprintf("@%016x00000000.s", uint64(1<<62+37+1795910400)+uint64(at))
}

func stamped(at int, text string) string {
	t := time.Unix(1795910400+int64(at), int64(at)).Local()
	return t.Format(stampForm) + "  " + text
}

func TestStamps(t *testing.T) {
	real := "2026-11-29 01:09:51.350695757  line"
	for _, c := range []struct {
		line string
		size int
	}{
		{real, 31}, {"@400000006b0b7b881248f51f line", 26}, {"@400000006b0b7b881248f51f", 0}, {real[:31], 31}, {real[:30], 0}, {"", 0},
		{"2026-11-29T01:09:51.350695757  x", 0}, {"2026-11-29 01:09:51.35069575x  x", 0}, {"2026-11-29 01:09:51.350695757 xx", 0},
		{"@7fffffffffffffffffffffff x", 26}, {"@zz0000006b0b7b881248f51f line", 0},
	} {
		if _, size := stampOf([]byte(c.line)); size != c.size {
			t.Errorf("%q: a stamp of %d bytes, want %d", c.line, size, c.size)
		}
	}
	a, _ := stampOf([]byte(real))
	b, _ := stampOf([]byte("@400000006b0b7b841603d7bf x")) // of the resulting file
	if ta, _ := time.Parse(`"`+time.RFC3339Nano+`"`, a.json()); b.before(&a) || !strings.HasPrefix(b.json(), ta.Format(`"2006-01-02T15:04:05`)) && time.Local == time.UTC {
		t.Errorf("%s is rotated at %s", a.json(), b.json())
	}
}

// TestLabelIsTime: the stamps of s6-log itself mean what we assume.
func TestLabelIsTime(t *testing.T) {
	before := time.Now()
	s := newShelf(t, "a")
	cmd := exec.Command("s6-log", "t", "T", s.path("a", ""))
	cmd.Stdin = strings.NewReader("x\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	line := []byte(s.print())
	var since, until stamp
	since.setTo(before)
	until.setTo(time.Now())
	for range 2 {
		at, size := stampOf(line)
		if size == 0 || at.before(&since) || until.before(&at) {
			t.Fatalf("%s is not from %s to %s", line, since, until)
		}
		line = line[size:]
	}
}

func TestSince(t *testing.T) {
	now := time.Now()
	for text, want := range map[string]time.Time{
		"10m": now.Add(-10 * time.Minute), "0s": now,
		"2026-11-24T18:00:00":           time.Date(2026, 11, 24, 18, 0, 0, 0, time.Local),
		"2026-11-24 18:00:00.000000007": time.Date(2026, 11, 24, 18, 0, 0, 7, time.Local),
		"2026-11-24T18:00:00Z":          time.Date(2026, 11, 24, 18, 0, 0, 0, time.UTC),
		"2026-11-24T18:00:00+01:00":     time.Date(2026, 11, 24, 17, 0, 0, 0, time.UTC),
	} {
		if got, err := Since(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "10", "-10m", "2026-13-01T00:00:00", "2026-11-24T18:00:00x", "yesterday", "1e9h"} {
		if got, err := Since(text, now); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestMerge: lines of several logs come in the order of their times. Lines of one log keep
// their order, even if the clock was set back. A line without a stamp stays with the one
// before it.
func TestMerge(t *testing.T) {
	s := newShelf(t, "a", "b")
	s.Printer.Names = true
	s.write("a", label(5), stamped(1, "a1\n")+stamped(4, "a4\n")+"more of it\n")
	s.write("a", "previous", stamped(6, "a6\n"))
	s.write("a", "current", stamped(9, "a9\n")+stamped(2, "a2 set back\n"))
	s.write("b", label(3), stamped(2, "b2\n"))
	s.write("b", "current", stamped(5, "b5\n")+stamped(8, "b8\n")+stamped(10, "b10"))
	s.write("b", "lock", "no log\n")
	s.write("b", "@nonsense.s", "no log\n")
	var got []string
	for line := range strings.Lines(s.print()) {
		got = append(got, strings.TrimSpace(line[:3]+line[strings.LastIndex(line, "  ")+1:]))
	}
	want := "a:  a1|b:  b2|a:  a4|a: a: more of it|b:  b5|a:  a6|b:  b8|a:  a9|a:  a2 set back|b:  b10"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
	s.Since = time.Unix(1795910400+5, 0)
	if got := s.print(); strings.Count(got, "\n") != 6 || strings.Contains(got, "more") || !strings.Contains(got, "set back") {
		t.Errorf("since: %s", got)
	}
}

// TestTail compares the last n lines with those of a model, over files of all kinds.
func TestTail(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := newShelf(t, "a")
		var all []string
		files := r.IntN(4)
		for i := range files + 1 {
			text := ""
			for range r.IntN(5) {
				line := strings.Repeat("x", []int{0, 3, 100, 16<<10 - 1, 16 << 10, 40000}[r.IntN(6)]) + fmt.Sprint(len(all))
				all = append(all, line+"\n")
				text += line + "\n"
			}
			if r.IntN(3) == 0 {
				text = strings.TrimSuffix(text, "\n")
			}
			name := label(i)
			if i == files {
				name = "current"
			}
			s.write("a", name, text)
		}
		for n := range len(all) + 2 {
			s.Lines = n
			if got, want := s.print(), strings.Join(all[max(0, len(all)-n):], ""); got != want {
				t.Fatalf("seed %d: the last %d of %d lines: got %.60q, %d bytes, want %.60q, %d bytes", seed, n, len(all), got, len(got), want, len(want))
			}
		}
	}
}

// step has a follower of one log look, and print what there is.
func (s *shelf) step() {
	s.t.Helper()
	must.Do(s.t, s.lookAtAll(len(s.logs) == 0))
	for _, l := range s.logs {
		if l.room == nil && s.small {
			l.size, l.room = 64, make([]byte, 64)
		}
	}
	s.drain()
	for _, l := range s.logs {
		s.sayLost(l)
		s.complain(l)
	}
	must.Do(s.t, s.Out.Flush())
}

// TestFollowEachMoment has a follower look between any two system calls of a logger that
// writes, rotates, is killed, or gets another directory. Each line is printed once.
func TestFollowEachMoment(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := newShelf(t, "a")
		s.Follow, s.small = true, true
		want, rotated := "", 0
		look := func() {
			if r.IntN(3) == 0 {
				s.step()
			}
		}
		do := func(err error) {
			must.Do(t, err)
			look()
		}
		write := func(text string) {
			s.write("a", "current", text)
			look()
		}
		write("")
		for i := range 40 {
			switch r.IntN(6) {
			default:
				line := strings.Repeat("y", []int{0, 10, 63, 64, 150, 17000}[r.IntN(6)]) + fmt.Sprintln(i)
				cut := r.IntN(len(line))
				write(line[:cut])
				write(line[cut:])
				want += line
			case 1: // s6-log rotates
				rotated++
				do(os.Rename(s.path("a", "current"), s.path("a", "previous")))
				write("")
				do(os.Link(s.path("a", "previous"), s.path("a", label(rotated))))
				do(os.Remove(s.path("a", "previous")))
			case 2: // s6-log was killed in the middle of a line, and starts again
				rotated++
				write("half")
				want += "half\n"
				do(os.Rename(s.path("a", "current"), s.path("a", strings.TrimSuffix(label(rotated), "s")+"u")))
				write("")
			case 3: // the directory is moved away
				if r.IntN(4) == 0 {
					s.step()
					do(os.Rename(s.path("a", ""), filepath.Join(s.root, fmt.Sprint("old", i))))
					do(os.Mkdir(s.path("a", ""), 0o755))
					write("")
				}
			}
		}
		s.step()
		if got := s.out.String(); got != want {
			at := 0
			for at < min(len(got), len(want)) && got[at] == want[at] {
				at++
			}
			t.Fatalf("seed %d: %d bytes of %d; at %d %.40q, want %.40q", seed, len(got), len(want), at, got[at:], want[at:])
		}
		said := slices.DeleteFunc(s.said, func(s string) bool { return strings.Contains(s, "it has no log") })
		if len(said) > 0 {
			t.Fatalf("seed %d: %q", seed, said)
		}
		for _, l := range s.logs {
			l.close()
		}
	}
	if fds, _ := os.ReadDir("/proc/self/fd"); len(fds) > 20 {
		t.Errorf("%d descriptors are open", len(fds))
	}
}

// TestRotatedMeanwhile has a real s6-log rotate as fast as it can while the log is printed
// repeatedly: the output misses no line, and repeats none.
func TestRotatedMeanwhile(t *testing.T) {
	s := newShelf(t, "a")
	cmd := exec.Command("sh", "-c", `i=0; while [ $i -lt 60000 ]; do i=$((i + 1)); echo $i; done | s6-log -b n1000 s4096 "$0"`, s.path("a", ""))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must.Do(t, cmd.Start())
	t.Cleanup(func() {
		if t.Failed() {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	waitFor(t, s.path("a", "current"))
	for rounds := 0; ; rounds++ {
		last := false
		select {
		case err := <-ended:
			must.Do(t, err)
			last = true
		default:
		}
		n := 0
		for line := range strings.Lines(s.print()) {
			if n++; line != fmt.Sprintln(n) && !strings.HasPrefix(fmt.Sprintln(n), line) {
				t.Fatalf("line %d of round %d is %q", n, rounds, line)
			}
		}
		if last {
			if t.Logf("%d rounds", rounds); n != 60000 || rounds < 3 {
				t.Errorf("%d lines, %d rounds", n, rounds)
			}
			return
		}
	}
}

func waitFor(t *testing.T, path string) {
	t.Helper()
	s6test.Await(t, func() error {
		_, err := os.Stat(path)
		return err
	})
}

// TestLost: lines that were removed before they could be read are reported as missing.
func TestLost(t *testing.T) {
	s := newShelf(t, "a")
	s.Follow = true
	s.write("a", "current", "1\n")
	s.step()
	must.Do(t, os.Remove(s.path("a", "current")))
	s.write("a", "current", "3\n")
	s.step()
	if s.out.String() != "1\n3\n" || len(s.said) != 1 || !strings.Contains(s.said[0], "missing") {
		t.Errorf("%q, said %q", s.out.String(), s.said)
	}
}

// TestTruncated: another process truncates current.
func TestTruncated(t *testing.T) {
	s := newShelf(t, "a")
	s.Follow = true
	s.write("a", "current", "1\n2")
	s.step()
	must.Do(t, os.Truncate(s.path("a", "current"), 0))
	s.step()
	s.write("a", "current", "3\n")
	s.step()
	if s.out.String() != "1\n3\n" {
		t.Errorf("%q", s.out.String())
	}
}

// TestMemory: a line of 200 MB needs one buffer. It is printed whole, from a live file as well.
func TestMemory(t *testing.T) {
	const size = 200 << 20
	for _, follow := range []bool{false, true} {
		s := newShelf(t, "a")
		s.Follow = follow
		n := counter(0)
		s.Out = bufio.NewWriter(&n)
		s.write("a", "current", "")
		must.Do(t, os.Truncate(s.path("a", "current"), size))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if follow {
			s.step()
			if n != 0 {
				t.Errorf("%d bytes of a line without an end", n)
			}
			s.write("a", "current", "\n")
			s.step()
		} else {
			s.print()
		}
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; n != size+1 || allocated > 1<<20 {
			t.Errorf("follow %v: %d bytes printed, %d allocated", follow, n, allocated)
		}
	}
}

type counter int

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// TestCharacters: no character is cut in two, whatever ends where in the buffer, and invalid
// bytes are printed as they would be in one piece.
func TestCharacters(t *testing.T) {
	for shift := range 8 {
		s := newShelf(t, "a")
		line := strings.Repeat("x", shift) + strings.Repeat("é€🙂\xff\xf0\x9f\"\\\t", 6000)
		s.write("a", "current", line+"\n")
		s.Printable = true
		if got := s.print(); !strings.HasSuffix(got, "é€🙂\ufffd\ufffd\ufffd\"\\ \n") || strings.Count(got, "\ufffd") != 18000 {
			t.Errorf("shift %d: %d, ends in %q", shift, strings.Count(got, "\ufffd"), got[len(got)-30:])
		}
		s.JSON = true
		if got := s.print(); strings.Count(got, `é€🙂\ufffd\ufffd\ufffd\"\\\t`) != 6000 {
			t.Errorf("shift %d: %.60s", shift, got)
		}
	}
}

// TestRefused: what has a log's name but is no regular file is refused, without blocking.
func TestRefused(t *testing.T) {
	for _, file := range []string{"current", "previous", label(1)} {
		for kind, make := range map[string]func(string) error{
			"link":      func(path string) error { return os.Symlink("/etc/passwd", path) },
			"FIFO":      func(path string) error { return unix.Mkfifo(path, 0o666) },
			"directory": func(path string) error { return os.Mkdir(path, 0o755) },
		} {
			s := newShelf(t, "a")
			if file != "current" {
				s.write("a", "current", "line\n")
			}
			must.Do(t, make(s.path("a", file)))
			failed, _, err := s.Run()
			if err != nil || len(failed) != 1 || !strings.Contains(failed[0].Error(), file) || strings.Contains(s.out.String(), "root") {
				t.Errorf("%s, a %s: %v, %v; printed %q", file, kind, failed, err, s.out.String())
			}
		}
	}
}

// TestTailRefused: lines before an unreadable file are not among the last lines.
func TestTailRefused(t *testing.T) {
	s := newShelf(t, "a")
	s.write("a", label(0), strings.Repeat("old\n", 100))
	must.Do(t, os.Symlink("/etc/passwd", s.path("a", label(1))))
	s.write("a", "current", "line\n")
	s.Lines = 2
	failed, _, err := s.Run()
	if err != nil || len(failed) != 1 || s.out.String() != "line\n" {
		t.Errorf("%v, %v; printed %q", failed, err, s.out.String())
	}
}

//go:build linux

package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

// logDir returns where profile name's gateway logs to.
func (p place) logDir(name string) string { return filepath.Join(p.home, "logs/gateways", name) }

// log has a real s6-log write text into a directory, rotated by script.
func (p place) log(t *testing.T, name, script, text string) {
	t.Helper()
	must.Do(t, os.MkdirAll(filepath.Dir(p.logDir(name)), 0o755))
	cmd := exec.Command("s6-log", append(strings.Fields(script), p.logDir(name))...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("s6-log: %v: %s", err, out)
	}
}

// lines returns the lines from first to last, each with its number.
func lines(first, last int) string {
	var text strings.Builder
	for i := first; i <= last; i++ {
		fmt.Fprintf(&text, "line %d of many\n", i)
	}
	return text.String()
}

// A stream is what a program prints. It can be read meanwhile.
type stream struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// A spout is a program that runs on.
type spout struct {
	cmd         *exec.Cmd
	out, stderr stream
}

// spout runs a program until the test ends.
func (p place) spout(t *testing.T, args ...string) *spout {
	t.Helper()
	return spoutBy(t, p.command(args[0], args[1:]...))
}

func spoutBy(t *testing.T, cmd *exec.Cmd) *spout {
	t.Helper()
	s := &spout{cmd: cmd}
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.stderr
	must.Do(t, s.cmd.Start())
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	return s
}

// await waits until s has printed want. While it prints something, the time does not count.
func (s *spout) await(t *testing.T, want string) {
	t.Helper()
	awaitMoves(t, func() error {
		got := s.out.String()
		if got == want {
			return nil
		}
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		return fmt.Errorf("%d bytes of %d: %.80q, want %.80q", len(got), len(want), got[at:], want[at:])
	})
}

// awaitHas waits until s has printed text, among others.
func (s *spout) awaitHas(t *testing.T, text string) {
	t.Helper()
	awaitMoves(t, func() error {
		if got := s.out.String(); !strings.Contains(got, text) {
			return fmt.Errorf("%q is not in %q; %s", text, got, s.stderr.String())
		}
		return nil
	})
}

// written returns everything in a log directory.
func written(t *testing.T, dir string) (text string, rotated int) {
	t.Helper()
	files, err := filepath.Glob(dir + "/@*")
	must.Do(t, err)
	for _, f := range append(files, dir+"/current") {
		text += readFile(t, f)
	}
	return text, len(files)
}

// TestLogsFollow: a follower that was there before the directory prints each line once that a
// real s6-log writes as fast as it can, over rotations and a logger that is killed.
func TestLogsFollow(t *testing.T) {
	p := newPlace(t)
	s := p.spout(t, "hermes-logs", "-f", "coder")
	s6test.Await(t, func() error {
		if !strings.HasSuffix(s.stderr.String(), "/coder does not exist; waiting for it\n") {
			return s6test.ErrNot
		}
		return nil
	})
	dir := p.logDir("coder")
	for i := range 6 { // from 2.13 on it rotates once for all that it reads at once
		p.log(t, "coder", "n1000 s8192 T", lines(i*10000+1, (i+1)*10000))
	}
	p.log(t, "coder", "n1000 s8192 T", "a small file to go on with\n") // rotates a large file
	text, rotated := written(t, dir)
	if rotated < 3 || strings.Count(text, "\n") != 60001 {
		t.Fatalf("%d lines, %d rotated files", strings.Count(text, "\n"), rotated)
	}
	s.await(t, text)

	killed := exec.Command("s6-log", "n1000", "s8192", "T", dir)
	in, err := killed.StdinPipe()
	must.Do(t, err)
	must.Do(t, killed.Start())
	_, err = io.WriteString(in, lines(60001, 60020))
	must.Do(t, err)
	s6test.Await(t, func() error {
		if text, _ := written(t, dir); !strings.Contains(text, "line 60020") {
			return s6test.ErrNot
		}
		return nil
	})
	must.Do(t, killed.Process.Kill())
	_ = killed.Wait()
	p.log(t, "coder", "n1000 s8192 T", lines(60021, 120000))
	text, _ = written(t, dir)
	if unclean, _ := filepath.Glob(dir + "/@*.u"); len(unclean) != 1 || strings.Count(text, "\n") != 120001 {
		t.Fatalf("%d lines, %v", strings.Count(text, "\n"), unclean)
	}
	s.await(t, text)

	// One that begins now prints the last 10 lines, or none, and what comes.
	ten, none := p.spout(t, "hermes-logs", "-f", "coder"), p.spout(t, "hermes-logs", "-n", "0", "-f", "coder")
	all := strings.SplitAfter(text, "\n")
	ten.await(t, strings.Join(all[len(all)-11:], ""))
	awaitWatch(t, none)
	p.log(t, "coder", "n1000 s8192 T", "more\n")
	more, _ := written(t, dir)
	ten.await(t, strings.Join(all[len(all)-11:], "")+more[len(text):])
	none.await(t, more[len(text):])
}

// awaitWatch waits until s watches something, and so has looked at everything that existed.
func awaitWatch(t *testing.T, s *spout) {
	t.Helper()
	s6test.Await(t, func() error {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", s.cmd.Process.Pid))
		for _, fd := range fds {
			if info, _ := os.ReadFile(fd); bytes.Count(info, []byte("inotify wd:")) > 1 {
				return nil
			}
		}
		return s6test.ErrNot
	})
}

// TestLogsFollowSeveral: profiles whose logs come later are followed as well, each line with
// its name. If a directory is moved away, the new one is followed.
func TestLogsFollowSeveral(t *testing.T) {
	p := newPlace(t)
	s := p.spout(t, "hermes-logs", "-f")
	want := ""
	for i, name := range []string{"coder", "writer", "coder", "writer"} {
		if i == 2 {
			must.Do(t, os.Rename(p.logDir("coder"), p.logDir("coder.old")))
		}
		p.log(t, name, "n10 s4096", fmt.Sprintln("line", i))
		want += fmt.Sprintf("%s: line %d\n", name, i)
		s.await(t, want)
	}
}

// TestLogsReadTheEnd: of 10 MB in ten files only the last lines are read.
func TestLogsReadTheEnd(t *testing.T) {
	needStrace(t)
	p := newPlace(t)
	p.bin = static(t)
	p.log(t, "coder", "n10 s1000000 T", lines(1, 250000))
	text, rotated := written(t, p.logDir("coder"))
	if rotated < 10 || len(text) < 10_000_000 {
		t.Fatalf("%d files, %d bytes", rotated, len(text))
	}
	for _, lines := range []string{"1", "10"} {
		tr := p.strace(t, []string{"hermes-logs", "-n", lines, "coder"}, "-y", "-e", "trace=pread64,read")
		bytesRead := 0
		for _, line := range tr.lines {
			if m := regexp.MustCompile(`read.*/logs/gateways/coder/.*= ([0-9]+)$`).FindStringSubmatch(line); m != nil {
				n, _ := strconv.Atoi(m[1])
				bytesRead += n
			}
		}
		if t.Logf("-n %s: %d bytes read", lines, bytesRead); tr.code != 0 || bytesRead == 0 || bytesRead > 64<<10 {
			t.Errorf("-n %s: exit code %d, %d bytes read of %d", lines, tr.code, bytesRead, len(text))
		}
	}
	all := strings.SplitAfter(text, "\n")
	if got, want := p.run(t, 0, "hermes-logs", "-n", "10", "coder"), strings.Join(all[len(all)-11:], ""); got != want {
		t.Errorf("the last 10 lines: %q, want %q", got, want)
	}
}

// TestLogsSorted: the lines of several profiles, written to at once, come in the order of
// their times.
func TestLogsSorted(t *testing.T) {
	p := newPlace(t)
	names := []string{"coder", "default", "writer"}
	var all sync.WaitGroup
	for _, name := range names {
		all.Add(1)
		go func() {
			defer all.Done()
			p.log(t, name, "n1000 s8192 T", lines(1, 3000))
		}()
	}
	all.Wait()
	var stamps, from []string
	for line := range strings.Lines(p.run(t, 0, "hermes-logs")) {
		name, rest, _ := strings.Cut(line, ": ")
		from, stamps = append(from, name), append(stamps, rest[:29])
	}
	slices.Sort(from)
	if len(stamps) != 9000 || !slices.IsSorted(stamps) || !slices.Equal(slices.Compact(from), names) {
		t.Errorf("%d lines, of %v, sorted: %v", len(stamps), from, slices.IsSorted(stamps))
	}
}

// TestLogsClosedPipe: a follower ends when its reader goes away, even if it has nothing to
// print, and prints no message, whether SIGPIPE is ignored or not.
func TestLogsClosedPipe(t *testing.T) {
	p := newPlace(t)
	p.log(t, "coder", "n10 s1000000 T", lines(1, 50000))
	for _, trap := range []string{"", "trap '' PIPE; "} {
		for _, options := range []string{"", "-f ", "-f -n 0 "} {
			script := trap + "hermes-logs " + options + "coder | head -c 10"
			if strings.Contains(options, "0") {
				script = trap + "hermes-logs " + options + "coder | true"
			}
			cmd := p.command("timeout", "60", "sh", "-c", script)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Run(); err != nil || stderr.Len() > 0 {
				t.Errorf("%s: %v: %s", script, err, stderr.String())
			}
		}
	}
}

// terminal runs a program of ours on a terminal and returns what it shows there.
func (p place) terminal(t *testing.T, env string, args ...string) string {
	t.Helper()
	pty, tty := openPTY(t)
	cmd := p.command(args[0], args[1:]...)
	cmd.Env = append(cmd.Env, env)
	cmd.Stdout, cmd.Stderr = tty, tty
	must.Do(t, cmd.Start())
	tty.Close()
	out, err := io.ReadAll(pty)
	if !errors.Is(err, syscall.EIO) { // the last process has closed it
		must.Do(t, err)
	}
	must.Do(t, cmd.Wait())
	return strings.ReplaceAll(string(out), "\r\n", "\n")
}

// TestLogsTerminal: on a terminal names have colours, and nothing in a line moves the cursor.
// With NO_COLOR there are no colours, and a line is as harmless.
func TestLogsTerminal(t *testing.T) {
	p := newPlace(t)
	const line = "\x1b[2Jbye \xff\u202e é\n"
	p.log(t, "coder", "n10 s4096", line)
	p.log(t, "writer", "n10 s4096", "hello\n")
	const shown = " [2Jbye \ufffd  é\n"
	if got, want := p.terminal(t, "A=", "hermes-logs", "coder", "writer"), "\x1b[31mcoder\x1b[39m: "+shown+"\x1b[32mwriter\x1b[39m: hello\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := p.terminal(t, "NO_COLOR=1", "hermes-logs", "coder", "writer"), "coder: "+shown+"writer: hello\n"; got != want {
		t.Errorf("NO_COLOR: %q, want %q", got, want)
	}
	if got := p.run(t, 0, "hermes-logs", "coder"); got != line {
		t.Errorf("a pipe gets %q", got)
	}
}

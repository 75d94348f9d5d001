//go:build linux

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

// A terminal is a window, and the text in it.
type terminal struct {
	t     *testing.T
	pty   *os.File
	cmd   *exec.Cmd
	mutex sync.Mutex
	lines []string
	row   int
	lost  bool // it was sent something unknown, or something that scrolls
}

// openPTY returns the two ends of a pseudoterminal: the window's, and the program's.
func openPTY(t *testing.T) (pty, tty *os.File) {
	t.Helper()
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must.Do(t, err)
	t.Cleanup(func() { pty.Close() })
	must.Do(t, unix.IoctlSetPointerInt(int(pty.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(pty.Fd()), unix.TIOCGPTN)
	must.Do(t, err)
	tty, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	must.Do(t, err)
	return pty, tty
}

// newTerminal runs cmd on a terminal with that many columns and lines.
func newTerminal(t *testing.T, cmd *exec.Cmd, columns, lines uint16) *terminal {
	t.Helper()
	pty, tty := openPTY(t)
	term := &terminal{t: t, pty: pty, cmd: cmd, lines: []string{""}}
	term.resize(columns, lines)
	cmd.Env = append(cmd.Env, "TERM=xterm", "NO_COLOR=")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must.Do(t, cmd.Start())
	tty.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	go term.read()
	return term
}

func (term *terminal) resize(columns, lines uint16) {
	term.t.Helper()
	must.Do(term.t, unix.IoctlSetWinsize(int(term.pty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: lines, Col: columns}))
}

var strokes = regexp.MustCompile(`\x1b\[[0-9]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+`)

// read processes what is written to the terminal. Each drawing is one write.
func (term *terminal) read() {
	buf := make([]byte, 1<<16)
	for {
		n, err := term.pty.Read(buf)
		if err != nil {
			return
		}
		term.mutex.Lock()
		for _, what := range strokes.FindAllString(string(buf[:n]), -1) {
			term.write(what)
		}
		term.mutex.Unlock()
	}
}

func (term *terminal) write(what string) {
	switch {
	case what == "\n":
		if term.row++; term.row == len(term.lines) {
			term.lines = append(term.lines, "")
		}
	case what == "\r", what[0] == '\x1b' && strings.HasSuffix(what, "m"): // already at the left; a colour
	case what == "\x1b[K":
		term.lines[term.row] = ""
	case what == "\x1b[J":
		term.lines = append(term.lines[:term.row], "")
	case strings.HasPrefix(what, "\x1b"):
		var up int
		if n, _ := fmt.Sscanf(what, "\x1b[%dA", &up); n != 1 || up > term.row {
			term.lost = true
			return
		}
		term.row -= up
	default:
		term.lines[term.row] += what
	}
}

// shows returns the text in the window.
func (term *terminal) shows() string {
	term.mutex.Lock()
	defer term.mutex.Unlock()
	if term.lost {
		term.t.Errorf("it is lost: %q", term.lines)
	}
	return strings.Join(term.lines, "\n")
}

// await waits until the text in the window matches want.
func (term *terminal) await(want string) {
	term.t.Helper()
	pattern := regexp.MustCompile(want)
	s6test.Await(term.t, func() error {
		if got := term.shows(); !pattern.MatchString(got) {
			return fmt.Errorf("it shows:\n%s\nwant %s", got, want)
		}
		return nil
	})
}

// TestSvstatScreen: on a terminal the table is drawn in place, in the given window. If there
// is no room for everything, what is in trouble comes first.
func TestSvstatScreen(t *testing.T) {
	p, _ := newTree(t)
	for _, name := range []string{"coder", "trader", "writer"} {
		p.plainSlot(t, name)
		must.Do(t, os.WriteFile(filepath.Join(p.slot(name), "down"), nil, 0o644))
	}
	must.Do(t, exec.Command("s6-svscanctl", "-a", p.scan).Run())
	for _, name := range []string{"coder", "trader", "writer"} {
		await(t, p.slot(name), "up,wantedup", "false false")
	}
	term := newTerminal(t, p.command("hermes-svstat", "--follow"), 100, 24)
	term.await(`^NAME +STATE [^\n]*\ncoder +not started [^\n]*\ntrader +not started [^\n]*\nwriter +not started [^\n]*\n$`)
	must.Do(t, exec.Command("s6-svc", "-wu", "-u", p.slot("trader")).Run())
	term.await(`^NAME +STATE [^\n]*\ncoder +not started [^\n]*\ntrader +up [^\n]*\nwriter +not started [^\n]*\n$`)
	p.records(t, "writer", `{"desired_state":"running"}`)
	term.await(`^NAME [^\n]*\n(?:[^\n]*\n){3}writer: not started; see [^\n]*\n$`)
	term.resize(30, 4)
	term.await(`(?:^|\n)NAME {4}STATE {8}PID[^\n]{0,11}\nwriter {2}not started[^\n]{0,11}\nand 2 more\n$`)
	term.resize(100, 24)
	term.await(`(?:^|\n)NAME [^\n]*\n(?:[^\n]*\n){3}writer: not started`)
	must.Do(t, os.RemoveAll(p.slot("coder")))
	term.await(`(?:^|\n)NAME +STATE [^\n]*\ntrader +up `)
	// An interrupt at the keyboard leaves the table, with the cursor below it.
	if _, err := term.pty.Write([]byte{3}); err != nil {
		t.Error(err)
	}
	_ = term.cmd.Wait()
	if s := term.cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v", term.cmd.ProcessState)
	}
	if !strings.Contains(term.shows(), "trader") {
		t.Errorf("it left:\n%s", term.shows())
	}
}

//go:build linux

package fence

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/s6"
)

// The logger of a slot goes by the fence: while another slot's gateway holds it, it
// keeps out of the log directory (see script's log). It decides when it starts, so
// whoever takes the fence, or begins to wait for it, has it start again where it has
// decided otherwise.

// loggerPatience is how long a logger gets to end and to execute s6-log: a fraction of a
// second, but on a busy machine.
const loggerPatience = 10 * time.Second

// SettleLogger has the logger of slot write to the log directory, or not, and waits until
// it does. A logger that is still in its script will decide by itself; it is waited for if
// it may have decided already. What s6-log has not read stays in the pipe, for the next:
// so that no line is lost, nothing may be printed until that is there, and what has been
// printed for the directory is to be read first. We run where our stdout is that pipe.
func SettleLogger(slot s6.Service, p s6.Programs, writes, wait bool) error {
	logger := slot.Log()
	told, hurried := 0, false
	for deadline := time.Now().Add(loggerPatience); ; time.Sleep(10 * time.Millisecond) {
		st, err := logger.Status(p)
		if err != nil || !st.Supervised || !st.WantedUp {
			return err
		}
		late := time.Now().After(deadline)
		directory, known := false, false
		if st.Up() {
			directory, known = writesTo(st.PID)
		}
		switch {
		case known && directory == writes, late, !known && !wait:
			return nil
		case known && told != 0 && st.PID != told:
			return nil // as it has decided now: it may not write there
		case known && told == 0 && (writes || drained()):
			told, wait = st.PID, true
			err = logger.Control("t")
		case told != 0 && st.Down() && !hurried:
			hurried = true // s6-supervise would wait for a second
			err = logger.Control("u")
		}
		if err != nil {
			return err
		}
	}
}

// drained tells whether nothing is left to read in the pipe to the logger.
func drained() bool {
	left, err := unix.IoctlGetInt(unix.Stdout, unix.TIOCINQ) // FIONREAD
	return err != nil || left == 0
}

// writesTo tells whether the s6-log that process pid executes writes to a directory;
// nothing is known of any other program, nor of one that has yet to open its file. One
// whose file has been renamed or removed since, by the logger of another slot, does not.
func writesTo(pid int) (directory, known bool) {
	proc := "/proc/" + strconv.Itoa(pid)
	line, _ := os.ReadFile(proc + "/cmdline")
	args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	if filepath.Base(args[0]) != "s6-log" {
		return false, false
	}
	if !filepath.IsAbs(args[len(args)-1]) {
		return false, true
	}
	files, _ := os.ReadDir(proc + "/fd")
	for _, f := range files {
		path, _ := os.Readlink(proc + "/fd/" + f.Name())
		switch name := filepath.Base(path); {
		case name == "current":
			return true, true
		case strings.HasPrefix(name, "@"), name == "current (deleted)": // what another has made of it
			return false, true
		}
	}
	return false, false
}

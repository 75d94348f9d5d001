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

// The logger of a slot depends on the fence: while another slot's gateway holds the fence, the
// logger keeps out of the log directory (see script's log). It decides at its start. So a
// process that takes the fence, or begins to wait for it, restarts a logger that has decided
// otherwise.

// loggerPatience is how long a logger gets to exit and to execute s6-log: usually a fraction
// of a second, except on a busy machine.
const loggerPatience = 10 * time.Second

// SettleLogger makes the logger of slot write to the log directory, or not, and waits until
// that is so. A logger that is still in its script will decide by itself. It is waited for if
// it may have decided already. What s6-log has not read stays in the pipe for the next s6-log.
// So that no line is lost, nothing may be printed until that one runs, and what was printed
// for the directory must be read first. Our stdout is that pipe.
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
			return nil // this is its decision: it may not write there
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

// drained reports whether nothing is left to read in the pipe to the logger.
func drained() bool {
	left, err := unix.IoctlGetInt(unix.Stdout, unix.TIOCINQ) // FIONREAD
	return err != nil || left == 0
}

// writesTo reports whether the s6-log that process pid executes writes to a directory. known
// is false for any other program, and for an s6-log that has yet to open its file. An s6-log
// whose file was renamed or removed since, by the logger of another slot, does not write to
// the directory.
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
		case strings.HasPrefix(name, "@"), name == "current (deleted)": // another logger has renamed or removed it
			return false, true
		}
	}
	return false, false
}

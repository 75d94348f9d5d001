//go:build linux

package fence

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
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
		case known && st.PID != told && (writes || drained()):
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

// writesTo tells whether the s6-log that process pid executes has a directory among its
// arguments; nothing is known of any other program.
func writesTo(pid int) (directory, known bool) {
	line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	args := bytes.Split(bytes.TrimSuffix(line, []byte{0}), []byte{0})
	last := args[len(args)-1]
	return filepath.IsAbs(string(last)), filepath.Base(string(args[0])) == "s6-log"
}

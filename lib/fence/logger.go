//go:build linux

package fence

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"hermes-s6/lib/s6"
)

// The logger of a slot goes by the fence: while another slot's gateway holds it, it
// keeps out of the log directory (see script's log). It decides when it starts, so
// whoever takes the fence, or begins to wait for it, has it start again where it has
// decided otherwise.

// loggerPatience is how long a logger that has only just been started gets to execute
// s6-log.
const loggerPatience = time.Second

// SettleLogger has the logger of slot write to the log directory, or not. A logger that is
// still in its script will decide by itself; it is waited for if it may have decided
// already. No line is lost: what s6-log has not read stays in the pipe.
func SettleLogger(slot s6.Service, p s6.Programs, writes, wait bool) error {
	logger := slot.Log()
	for deadline := time.Now().Add(loggerPatience); ; time.Sleep(10 * time.Millisecond) {
		st, err := logger.Status(p)
		if err != nil || !st.Up() {
			return err
		}
		if directory, known := writesTo(st.PID); known {
			if directory == writes {
				return nil
			}
			return logger.Control("t")
		}
		if !wait || time.Now().After(deadline) {
			return nil
		}
	}
}

// writesTo tells whether the s6-log that process pid executes has a directory among its
// arguments; nothing is known of any other program.
func writesTo(pid int) (directory, known bool) {
	line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	args := bytes.Split(bytes.TrimSuffix(line, []byte{0}), []byte{0})
	last := args[len(args)-1]
	return filepath.IsAbs(string(last)), filepath.Base(string(args[0])) == "s6-log"
}

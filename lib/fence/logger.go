//go:build linux

package fence

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/proc"
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

// writesTo tells whether the s6-log that process pid executes writes to a directory;
// nothing is known of any other program. One whose file has been renamed since, by the
// logger of another slot, does not.
func writesTo(pid int) (directory, known bool) {
	line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	if filepath.Base(args[0]) != "s6-log" {
		return false, false
	}
	last := args[len(args)-1]
	if !filepath.IsAbs(last) {
		return false, true
	}
	var st unix.Stat_t
	p := proc.Process{PID: pid}
	return unix.Stat(last+"/current", &st) == nil && p.HasOpen(&st), true
}

package s6

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ticks is USER_HZ, in which /proc counts time: 100 a second on every Linux
// that Go runs on.
const ticks = 100

// StartTime returns when the process pid was started, in ticks since boot:
// field 22 of /proc/PID/stat (proc(5)). With the pid it names a process for
// good, where the pid alone may come to be another's.
func StartTime(pid int) (uint64, bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	// Field 2 is the name in parentheses, which may hold anything.
	i := bytes.LastIndexByte(stat, ')')
	if err != nil || i < 0 {
		return 0, false
	}
	const first = 3 // the field after the name
	fields := bytes.Fields(stat[i+1:])
	if len(fields) <= 22-first {
		return 0, false
	}
	start, err := strconv.ParseUint(string(fields[22-first]), 10, 64)
	return start, err == nil
}

// Orphaned tells whether a service that nobody supervises still runs: whether
// there is a process with the pid of its last status that is as old as that
// status. The supervisor was killed then, and not its service.
func (s *Status) Orphaned() bool {
	if s.Supervised || !s.Up() {
		return false
	}
	start, ok := StartTime(s.PID)
	var boot unix.Timespec
	if !ok || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return false
	}
	age := time.Duration(boot.Nano()) - time.Duration(start)*time.Second/ticks
	said := s.Now.Time().Sub(s.Since.Time())
	return (age - said).Abs() < 2*time.Second
}

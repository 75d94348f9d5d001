package s6

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ticks is USER_HZ, in which /proc counts time: 100 a second on every Linux
// that Go runs on.
const ticks = 100

// stat returns the fields of /proc/PID/stat from the third on (proc(5)); nil
// where there is no such process.
func stat(pid string) []string {
	line, err := os.ReadFile("/proc/" + pid + "/stat")
	// Field 2 is the name in parentheses, which may hold anything.
	i := bytes.LastIndexByte(line, ')')
	if err != nil || i < 0 {
		return nil
	}
	return strings.Fields(string(line[i+1:]))
}

// Indices into stat's result: fields 3, 5 and 22.
const (
	statState = 0
	statPgrp  = 2
	statStart = 19
)

// StartTime returns when the process pid was started, in ticks since boot. With
// the pid it names a process for good, where the pid alone may come to be
// another's.
func StartTime(pid int) (uint64, bool) {
	fields := stat(strconv.Itoa(pid))
	if len(fields) <= statStart {
		return 0, false
	}
	start, err := strconv.ParseUint(fields[statStart], 10, 64)
	return start, err == nil
}

// GroupAlive tells whether a process of group pgid lives. A zombie is none: it
// stays in its group until somebody reaps it, which not every PID 1 does.
func GroupAlive(pgid int) bool {
	if unix.Kill(-pgid, 0) == unix.ESRCH {
		return false
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return true
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	group := strconv.Itoa(pgid)
	for _, pid := range names {
		if pid[0] < '0' || pid[0] > '9' {
			continue
		}
		if f := stat(pid); len(f) > statPgrp && f[statPgrp] == group && f[statState] != "Z" && f[statState] != "X" {
			return true
		}
	}
	return false
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

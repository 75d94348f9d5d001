package proc

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

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

// ticks is USER_HZ, in which /proc counts time: 100 a second on every Linux
// that Go runs on.
const ticks = 100

// Age returns for how long the process pid has been there.
func Age(pid int) (time.Duration, bool) {
	start, ok := StartTime(pid)
	var boot unix.Timespec
	if !ok || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0, false
	}
	return time.Duration(boot.Nano()) - time.Duration(start)*time.Second/ticks, true
}

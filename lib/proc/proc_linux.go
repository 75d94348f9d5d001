package proc

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// GroupEnds waits until no process of group pgid lives, until deadline at the most,
// and tells whether none does. A zombie is none: it stays in its group until somebody
// reaps it, which not every PID 1 does.
func GroupEnds(pgid int, deadline time.Time) bool {
	for {
		pid := living(pgid)
		if pid == 0 {
			return true
		}
		if !awaitEnd(pid, deadline) {
			return living(pgid) == 0
		}
	}
}

// living returns the pid of a process of group pgid that lives, 0 where there is none,
// -1 where there is one and no /proc to find it in.
func living(pgid int) int {
	if unix.Kill(-pgid, 0) == unix.ESRCH {
		return 0
	}
	all := pids()
	if all == nil {
		return -1
	}
	group := strconv.Itoa(pgid)
	for _, pid := range all {
		if f := stat(strconv.Itoa(pid)); len(f) > statThreads && f[statPgrp] == group && !dead(f) {
			return pid
		}
	}
	return 0
}

// dead tells whether of a process, whose stat is f, no thread runs any more. One whose
// first thread has ended is shown as a zombie, and lives in the others.
func dead(f []string) bool {
	return f[statState] == "X" || f[statState] == "Z" && (f[statThreads] == "0" || f[statThreads] == "1")
}

// Alive tells whether the process pid runs: it is there, and no zombie. Where there is
// no /proc to say so, it does.
func Alive(pid int) bool {
	f := stat(strconv.Itoa(pid))
	if f == nil {
		return unix.Kill(pid, 0) != unix.ESRCH
	}
	return len(f) > statThreads && !dead(f)
}

// awaitEnd waits until process pid has ended; false at deadline. Should the pid be
// another's by now, that one's end is waited for, and no longer than until deadline.
func awaitEnd(pid int, deadline time.Time) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return true
	}
	if err != nil { // Linux before 5.3, or a sandbox that forbids it
		time.Sleep(min(pollEvery, time.Until(deadline)))
		return time.Now().Before(deadline)
	}
	defer unix.Close(fd)
	return awaitPidfd(fd, deadline)
}

// pollEvery is how often to look where the kernel does not tell.
const pollEvery = 10 * time.Millisecond

// awaitPidfd waits until the process of fd has ended; false at deadline.
func awaitPidfd(fd int, deadline time.Time) bool {
	for {
		left := time.Until(deadline).Milliseconds()
		if left <= 0 {
			return false
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left))
		if n > 0 || err != nil && err != unix.EINTR {
			return err == nil
		}
	}
}

// groupGrace is what EndGroup gives a group to end by itself.
const groupGrace = 500 * time.Millisecond

// EndGroup sees to it that the process group of a gateway that has ended, as pid, ends
// as well: by itself and soon, or else it is killed, which is told. s6-supervise makes
// each gateway a session leader, so the group has its pid, which the kernel gives to
// nobody else while a process is in the group. What stays there would run on for ever,
// with the logger's pipe open.
func EndGroup(pid int) (killed bool) {
	return pid > 1 && !GroupEnds(pid, time.Now().Add(groupGrace)) && unix.Kill(-pid, unix.SIGKILL) == nil
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

// Catches tells whether process pid has a handler for signal (SigCgt in
// proc_pid_status(5)); false where there is nothing to say so.
func Catches(pid int, signal unix.Signal) bool {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	_, rest, _ := bytes.Cut(status, []byte("\nSigCgt:\t"))
	mask, _, _ := bytes.Cut(rest, []byte("\n"))
	caught, err := strconv.ParseUint(string(mask), 16, 64)
	return err == nil && caught&(1<<(signal-1)) != 0
}

package proc

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// GroupEnds waits until no process of group pgid lives, until deadline at most, and reports
// whether none does. Zombies do not count: a zombie stays in its group until it is reaped,
// which not every PID 1 does.
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

// living returns the pid of a living process of group pgid. It returns 0 if there is none, and
// -1 if there is one and no /proc to find it in.
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

// dead reports whether no thread of the process with stat f runs any more. A process whose
// first thread has ended is shown as a zombie, but lives in its other threads.
func dead(f []string) bool {
	return f[statState] == "X" || f[statState] == "Z" && (f[statThreads] == "0" || f[statThreads] == "1")
}

// Alive reports whether the process pid exists and is not a zombie. Without /proc it returns true.
func Alive(pid int) bool {
	f := stat(strconv.Itoa(pid))
	if f == nil {
		return unix.Kill(pid, 0) != unix.ESRCH
	}
	return len(f) > statThreads && !dead(f)
}

// awaitEnd waits until process pid has ended, and returns false at deadline. If the pid was
// reused, it waits for that process, but no longer than until deadline.
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

// pollEvery is how often to look if the kernel has no event.
const pollEvery = 10 * time.Millisecond

// awaitPidfd waits until the process of fd has ended, and returns false at deadline.
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

// groupGrace is the time that EndGroup gives a group to end by itself.
const groupGrace = 500 * time.Millisecond

// EndGroup makes sure that the process group of an ended gateway with this pid ends as well. A
// group that does not end by itself soon is killed, and EndGroup reports that. s6-supervise
// makes each gateway a session leader, so the group has its pid, which the kernel does not
// reuse while a process is in the group. What stays in the group would run for ever, with the
// logger's pipe open.
func EndGroup(pid int) (killed bool) {
	return pid > 1 && !GroupEnds(pid, time.Now().Add(groupGrace)) && unix.Kill(-pid, unix.SIGKILL) == nil
}

// ticks is USER_HZ, the unit of time in /proc: 100 a second on every Linux that Go runs on.
const ticks = 100

// Age returns how long the process pid has existed.
func Age(pid int) (time.Duration, bool) {
	start, ok := StartTime(pid)
	var boot unix.Timespec
	if !ok || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0, false
	}
	return time.Duration(boot.Nano()) - time.Duration(start)*time.Second/ticks, true
}

// Catches reports whether process pid has a handler for signal (SigCgt in proc_pid_status(5)).
// It returns false if that cannot be read.
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

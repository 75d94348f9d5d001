// Package proc knows what procfs says of processes (proc(5)), and runs a program of
// others to its end. Where there is no /proc it knows nothing, and says so. Which
// program, and what its exit codes mean, others know.
package proc

import (
	"bytes"
	"strconv"
	"strings"
)

// stat returns the fields of /proc/PID/stat from the third on (proc(5)); nil
// where there is no such process.
func stat(pid string) []string {
	line := Head("/proc/" + pid + "/stat") // more than the first 22 fields can be
	// Field 2 is the name in parentheses, which may hold anything.
	i := bytes.LastIndexByte(line, ')')
	if i < 0 {
		return nil
	}
	return strings.Fields(string(line[i+1:]))
}

// Indices into stat's result: fields 3, 4, 5, 7, 20 and 22.
const (
	statState   = 0
	statParent  = 1
	statPgrp    = 2
	statTTY     = 4
	statThreads = 17
	statStart   = 19
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

// Package proc knows what procfs says about processes (proc(5)), and runs external programs to
// their end. Without /proc it knows nothing, and says so. Its callers know which program to
// run and what its exit codes mean.
package proc

import (
	"bytes"
	"strconv"
	"strings"
)

// stat returns the fields of /proc/PID/stat from the third on (proc(5)), or nil if there is no
// such process.
func stat(pid string) []string {
	line := Head("/proc/" + pid + "/stat") // has room for more than the first 22 fields
	// Field 2 is the name in parentheses, which may contain anything.
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

// StartTime returns when the process pid was started, in ticks since boot. Together with the
// pid it identifies a process for good, while the pid alone may be reused.
func StartTime(pid int) (uint64, bool) {
	fields := stat(strconv.Itoa(pid))
	if len(fields) <= statStart {
		return 0, false
	}
	start, err := strconv.ParseUint(fields[statStart], 10, 64)
	return start, err == nil
}

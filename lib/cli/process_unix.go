//go:build unix

package cli

import (
	"golang.org/x/sys/unix"

	"hermes-s6/lib/fail"
)

// clearUmask makes the modes of new files exactly those that we ask for: a umask of 0777 must
// not make a slot that its supervisor cannot read. It returns the previous umask.
func clearUmask() int { return unix.Umask(0) }

// RestoreUmask restores the umask with which we were executed, for a program that we execute.
func (c *Context) RestoreUmask() { unix.Umask(c.umask) }

// fewestFiles is how many descriptors Go's runtime and libraries need at least, including the
// three standard ones. With fewer they abort the process with a trace.
const fewestFiles = 8

// checkFiles refuses to run with too few descriptors. Package os has already raised the soft
// limit to the hard one.
func checkFiles() error {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && limit.Cur < fewestFiles {
		return fail.Errorf(fail.System, "too many open files: the limit is %d, and %d are needed (ulimit -n)", limit.Cur, fewestFiles)
	}
	return nil
}

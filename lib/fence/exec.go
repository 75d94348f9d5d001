//go:build linux

package fence

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// KeptByExec reports whether a process with several threads, as every Go program is, keeps its
// record locks when it executes another program. Before Linux 5.11 the kernel gave the process
// a new descriptor table at that moment, and the locks belonged to the old one.
func KeptByExec() bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	return keptByExec(unix.ByteSliceToString(name.Release[:]))
}

func keptByExec(release string) bool {
	var major, minor int
	_, _ = fmt.Sscanf(release, "%d.%d", &major, &minor)
	return major > 5 || major == 5 && minor >= 11
}

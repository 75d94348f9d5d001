//go:build unix

package par

import "golang.org/x/sys/unix"

// room returns how many can work at a time without running out of descriptors: one
// at least, however few there are.
func room() int {
	// Each may have as many, and as many are for the rest.
	const each = 8
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1
	}
	return int(max(min(limit.Cur, 1<<20)/each, 2) - 1)
}

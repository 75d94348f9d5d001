//go:build unix

package par

import "golang.org/x/sys/unix"

// Descriptors returns how many descriptors we may have open.
func Descriptors() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<20))
}

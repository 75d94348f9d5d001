//go:build unix

package cli

import "golang.org/x/sys/unix"

// clearUmask makes the modes of what we make the ones we name: a umask of 0777
// must not make a slot that its supervisor cannot read.
func clearUmask() { unix.Umask(0) }

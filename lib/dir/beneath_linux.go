package dir

import (
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// openat opens name below at, close-on-exec. It retries after EINTR, which a FIFO or a network
// file system can cause.
func openat(at int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(at, name, flags|unix.O_CLOEXEC, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// noOpenat2 is set if the kernel lacks openat2(2) (before 5.6), or a seccomp filter that does
// not know it returns EPERM.
var noOpenat2 atomic.Bool

// beneath opens name, which may be a path, and nothing that is not below d: it follows no
// link, in no component, and no ".." leads out. The kernel enforces this at the moment of
// opening, so no other process can swap a component in between.
func (d *Dir) beneath(name string, flags int, mode uint32) (int, error) {
	flags |= unix.O_NOFOLLOW
	if noOpenat2.Load() || d.fd == unix.AT_FDCWD {
		return d.walk(name, flags, mode)
	}
	how := unix.OpenHow{
		Flags: uint64(flags | unix.O_CLOEXEC), Mode: uint64(mode),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(d.fd, name, &how)
		switch err {
		case unix.EINTR, unix.EAGAIN: // EAGAIN: something was renamed meanwhile
		case unix.ENOSYS, unix.EPERM:
			if fd, err = d.walk(name, flags, mode); err != unix.EPERM {
				noOpenat2.Store(true) // EPERM did not come from the file
			}
			return fd, err
		default:
			return fd, err
		}
	}
}

// walk is beneath without openat2. It opens one component after the other, without following
// links, each one in the directory that it opened before.
func (d *Dir) walk(name string, flags int, mode uint32) (int, error) {
	at := d.fd
	for {
		first, rest, more := strings.Cut(name, "/")
		if first == ".." || first == "" {
			return -1, unix.EXDEV // as openat2 returns
		}
		want, perm := flags, mode
		if more {
			want, perm = unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0
		}
		fd, err := openat(at, first, want, perm)
		if at != d.fd {
			unix.Close(at)
		}
		if err != nil || !more {
			return fd, err
		}
		at, name = fd, rest
	}
}

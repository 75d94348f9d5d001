package profile

import (
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// lockName is a directory in the home that exists while a process hands out ports. It has mode
// 0700 and belongs to that process's user. Locking the home itself would not do: the account
// can open the home and hold its lock for ever. The directory is removed with the lock,
// because one of root's that stayed would hinder the account when it copies the home.
const lockName = ".gateway-ports"

// lockTries is how often we move away what the account puts in the lock's place.
const lockTries = 100

// LockPorts keeps our other processes, also those in other containers, from handing out ports
// in h until unlock. It keeps waiting as long as the holder changes, and fails with exit code
// 99 if one process holds the lock for longer than timeout (0: no limit). On a file system
// without locks there is no lock to take.
func (h *Home) LockPorts(timeout time.Duration) (unlock func(), err error) {
	lock := func(d *dir.Dir) error {
		var deadline time.Time
		if timeout > 0 {
			deadline = time.Now().Add(timeout)
		}
		if err := d.Lock(deadline); !dir.NoLocks(err) {
			return err
		}
		return nil
	}
	for try := 0; ; try++ {
		d, err := h.dir.Take(lockName, h.checkLock, lock)
		switch {
		case err == nil:
			return func() { h.dir.Drop(lockName, d) }, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, fail.Errorf(fail.Timeout, "%w", err)
		case !planted(err) || try == lockTries:
			return nil, err
		}
		// The account made it and could hold its lock for ever. It can also put it back.
		if err := h.dir.Rmdir(lockName); err != nil && !errors.Is(err, unix.ENOENT) {
			if _, err := h.dir.Aside(lockName); err != nil && !errors.Is(err, unix.ENOENT) {
				return nil, err
			}
		}
	}
}

// errPlanted is returned for a lock that others than its holder can open.
var errPlanted = errors.New("not ours")

// planted reports whether err, from taking the lock, says that something else is in its place.
func planted(err error) bool {
	return errors.Is(err, errPlanted) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) ||
		errors.Is(err, unix.EACCES) && os.Geteuid() != 0
}

// checkLock refuses a lock that the account may have made: one that does not look like those
// we make. On a file system that keeps no owners or permissions, ours look different, too.
func (h *Home) checkLock(d *dir.Dir) error {
	st, err := d.Stat(".")
	if err != nil || int(st.Uid) == os.Geteuid() && st.Mode&0o077 == 0 {
		return err
	}
	// The name is unique: otherwise two of our processes would disturb each other's sample.
	sample := lockName + "." + strconv.FormatUint(rand.Uint64(), 36)
	made, err := h.dir.Mkdir(sample, 0o700)
	if err != nil {
		return err
	}
	defer h.dir.Drop(sample, made)
	if like, err := made.Stat("."); err != nil || like.Uid != st.Uid || like.Mode != st.Mode {
		return errPlanted
	}
	return nil
}

// Unwritable reports whether err says that nothing can be created in a home.
func Unwritable(err error) bool {
	for _, errno := range []error{unix.EROFS, unix.EACCES, unix.EPERM, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

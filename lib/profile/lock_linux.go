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

// lockName is a directory in the home that is there while somebody hands out ports,
// mode 0700 and his. The home itself would not do: the account can open that, and so
// keep its lock for ever. It goes with the lock: a directory of root's that stayed would
// be in the way of whoever copies the home as the account.
const lockName = ".gateway-ports"

// lockTries is how often what the account puts in the lock's place is moved away.
const lockTries = 100

// LockPorts keeps others of us, also those in another container, from handing out ports in
// h until unlock. It waits as long as the holder changes; exit code 99 where one has
// it for longer than timeout (0: no limit). A file system that knows no locks has none.
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
		// The account's, which could keep it for ever. It can also put it back.
		if err := h.dir.Rmdir(lockName); err != nil && !errors.Is(err, unix.ENOENT) {
			if _, err := h.dir.Aside(lockName); err != nil && !errors.Is(err, unix.ENOENT) {
				return nil, err
			}
		}
	}
}

// errPlanted is the answer for a lock that others than its holder can open.
var errPlanted = errors.New("not ours")

// planted tells whether err, from taking the lock, is that something is in its place.
func planted(err error) bool {
	return errors.Is(err, errPlanted) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) ||
		errors.Is(err, unix.EACCES) && os.Geteuid() != 0
}

// checkLock refuses a lock that the account may have made: one that is not as we make
// them. On a file system that keeps no owners or permissions ours look otherwise, too.
func (h *Home) checkLock(d *dir.Dir) error {
	st, err := d.Stat(".")
	if err != nil || int(st.Uid) == os.Geteuid() && st.Mode&0o077 == 0 {
		return err
	}
	// By a name that nobody else of us has: he would be in our way, and we in his.
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

// Unwritable tells whether err says that nothing can be made in a home.
func Unwritable(err error) bool {
	for _, errno := range []error{unix.EROFS, unix.EACCES, unix.EPERM, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

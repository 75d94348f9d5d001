package dir

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockEvery is the longest pause of Lock between two tries.
const lockEvery = 10 * time.Millisecond

// Lock takes the exclusive flock(2) of d. It waits until deadline (the zero time: for ever),
// and then returns os.ErrDeadlineExceeded. The lock ends with the last descriptor of d, so at
// the latest with our process.
//
// Lock polls, because a blocking call cannot be given up: its thread and its descriptor would
// stay, and take the lock long after we had reported that another process has it.
func (d *Dir) Lock(deadline time.Time) error {
	for pause := time.Millisecond / 8; ; pause = min(2*pause, lockEvery) {
		// A free lock is taken at once, however little time is left.
		err := d.TryLock()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if !deadline.IsZero() {
			left := time.Until(deadline)
			if left <= 0 {
				return d.Fail("lock", "", os.ErrDeadlineExceeded)
			}
			pause = min(pause, left)
		}
		time.Sleep(pause)
	}
}

// NoLocks reports whether err, from Lock, says that the file system has no locks.
func NoLocks(err error) bool {
	return errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EOPNOTSUPP)
}

// TryLock is Lock without waiting. It returns unix.EWOULDBLOCK if another process has the lock.
func (d *Dir) TryLock() error {
	err := unix.Flock(d.fd, unix.LOCK_EX|unix.LOCK_NB)
	for err == unix.EINTR {
		err = unix.Flock(d.fd, unix.LOCK_EX|unix.LOCK_NB)
	}
	d.shared = err != nil
	return d.Fail("lock", "", err)
}

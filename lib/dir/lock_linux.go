package dir

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockEvery is how long Lock waits at most between two tries.
const lockEvery = 10 * time.Millisecond

// Lock takes the exclusive flock(2) of d, waiting for it until deadline (the
// zero time: for ever), after which the error is os.ErrDeadlineExceeded. The
// lock is gone with the last descriptor of d, so with our death at the latest.
//
// It tries again and again. A call that blocks cannot be given up: its thread and
// its descriptor would stay, and take the lock long after we had said that
// another process has it.
func (d *Dir) Lock(deadline time.Time) error {
	for pause := time.Millisecond / 8; ; pause = min(2*pause, lockEvery) {
		// What is free is had at once, however little time is left.
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

// NoLocks tells whether err, from Lock, says that the file system knows none.
func NoLocks(err error) bool {
	return errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EOPNOTSUPP)
}

// TryLock is Lock without waiting: unix.EWOULDBLOCK when somebody has it.
func (d *Dir) TryLock() error {
	err := unix.Flock(d.fd, unix.LOCK_EX|unix.LOCK_NB)
	for err == unix.EINTR {
		err = unix.Flock(d.fd, unix.LOCK_EX|unix.LOCK_NB)
	}
	d.shared = err != nil
	return d.Fail("lock", "", err)
}

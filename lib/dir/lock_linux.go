package dir

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Lock takes the exclusive flock(2) of d, waiting for it until deadline (the
// zero time: for ever), after which the error is os.ErrDeadlineExceeded. The
// lock is gone with the last descriptor of d, so with our death at the latest.
func (d *Dir) Lock(deadline time.Time) error {
	// What is free is had at once, however little time is left.
	if err := d.TryLock(); !errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	err := Await(deadline, func() error { return unix.Flock(d.fd, unix.LOCK_EX) })
	return d.Fail("lock", "", err)
}

// NoLocks tells whether err, from Lock, says that the file system knows none.
func NoLocks(err error) bool {
	return errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EOPNOTSUPP)
}

// TryLock is Lock without waiting: unix.EWOULDBLOCK when somebody has it.
func (d *Dir) TryLock() error {
	return d.Fail("lock", "", unix.Flock(d.fd, unix.LOCK_EX|unix.LOCK_NB))
}

// Unlock lets go of the lock.
func (d *Dir) Unlock() { _ = unix.Flock(d.fd, unix.LOCK_UN) }

// Await runs a system call that blocks, again after EINTR, and gives up on it
// at deadline (the zero time: never) with os.ErrDeadlineExceeded. The thread
// that is stuck in it then stays there until the process ends.
func Await(deadline time.Time, call func() error) error {
	done := make(chan error, 1)
	go func() {
		for {
			if err := call(); err != unix.EINTR {
				done <- err
				return
			}
		}
	}()
	var timeout <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case err := <-done:
		return err
	case <-timeout:
		return os.ErrDeadlineExceeded
	}
}

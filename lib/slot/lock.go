//go:build linux

package slot

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/profile"
)

// Three locks keep us apart, and each of us takes them in this order: the hold on a
// profile (Hold), the lock of its slot (Lock), that of the ports of a home (LockPorts).
// Who has the last waits for nobody.

// lockPatience is how long Lock waits at the least: what it keeps apart takes
// milliseconds.
const lockPatience = 2 * time.Second

// Lock waits for the lock on profile name's slot, until deadline or for lockPatience,
// whichever is later: who commands a gateway and records that, or changes what was
// commanded, has it. Whoever may read the slot can take it, and keep it: after that the
// error is os.ErrDeadlineExceeded, which is no reason for not doing what an operator
// wants. With fs.ErrNotExist there is no slot, and nothing to command. It is let go of
// by closing what is returned, which may be nil: where the file system knows no locks,
// and with an error.
func (s *ScanDir) Lock(name string, deadline time.Time) (*dir.Dir, error) {
	service := s.Service(name)
	if earliest := time.Now().Add(lockPatience); deadline.Before(earliest) { // 0 too: it may be kept for ever
		deadline = earliest
	}
	for {
		d, err := dir.Open(service.Path())
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			err = &fs.PathError{Op: "lock", Path: service.Path(), Err: fs.ErrNotExist}
		}
		if err != nil {
			return nil, err
		}
		err = d.Lock(deadline)
		if err != nil {
			d.Close()
			if dir.NoLocks(err) {
				err = nil
			}
			return nil, err
		}
		// It may have been another's by this name when we opened it.
		there, err := dir.Open(service.Path())
		if err == nil && d.SameAs(there) {
			there.Close()
			return d, nil
		}
		there.Close()
		d.Close()
		if err != nil {
			return nil, err
		}
	}
}

// Unlockable tells whether err, from Lock, is no reason for not changing the slot.
func Unlockable(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, fs.ErrNotExist)
}

// LockPorts locks the handing out of ports in home (see profile.Home.Lock). Where
// nothing can be made in the home, nothing is recorded there either: what is left is
// who has which port in this scan directory.
func (s *ScanDir) LockPorts(home *profile.Home, timeout time.Duration) (unlock func(), err error) {
	unlock, err = home.Lock(timeout)
	if !profile.Unwritable(err) {
		return unlock, err
	}
	const nobody = "" // no profile has this name, so the hold is none's
	h, err := s.take(nobody, func(d *dir.Dir) error { return d.Lock(Deadline(timeout)) })
	if err != nil {
		return nil, err
	}
	return h.Release, nil
}

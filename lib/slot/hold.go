//go:build linux

package slot

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
)

// Three locks keep us apart, and each of us takes them in this order: the hold on a
// profile (Hold), the lock of its slot (Lock), that of the ports of a home (LockPorts).
// Whoever has the last one waits for nobody.

// A Hold is the right to make, change or remove the slot of one profile, and
// the place to work in: a directory in the scan directory that s6-svscan skips
// because its name begins with a dot, that nobody else can open (mode 0700),
// and that its owner has locked. The lock falls with its owner, so what is in
// a hold that can be locked belongs to nobody and is for the next to clean up.
type Hold struct {
	scan     *ScanDir
	profile  string
	dir      *dir.Dir
	deadline time.Time // of who has it; zero: none
	evicted  bool      // what had the slot's name is in it, and may come back
}

// work is the name in a hold of a slot being built, or of one that has left the
// scan directory. What else is there are files on their way into a slot.
const work = "slot"

func holdName(name string) string { return "." + profile.Slot(name) }

// Hold waits for the hold on profile name, until deadline at the most (exit
// code 99), and finishes what a killed run left in it.
func (s *ScanDir) Hold(name string, deadline time.Time) (*Hold, error) {
	h, err := s.take(name, func(d *dir.Dir) error { return d.Lock(deadline) })
	if err != nil {
		return nil, err
	}
	h.deadline = deadline
	if err := h.clean(deadline, true); err != nil {
		h.Release()
		return nil, err
	}
	return h, nil
}

// take makes or opens the hold on profile name and locks it with lock.
func (s *ScanDir) take(name string, lock func(*dir.Dir) error) (*Hold, error) {
	d, err := s.dir.Take(holdName(name), checkOwn, lock)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fail.Errorf(fail.Timeout, "%w", err)
	}
	if err != nil {
		return nil, err
	}
	return &Hold{scan: s, profile: name, dir: d}, nil
}

// euid is whom what we make belongs to.
var euid = sync.OnceValue(os.Geteuid)

// checkOwn refuses a hold that somebody else made, who could open and lock it.
func checkOwn(d *dir.Dir) error {
	st, err := d.Stat(".")
	if err != nil {
		return err
	}
	if int(st.Uid) != euid() || st.Mode&0o077 != 0 {
		return fail.Hint(fail.Errorf(fail.System, "%s: somebody else made it", d.Path("")), "remove it")
	}
	return nil
}

// Release ends h.
func (h *Hold) Release() {
	if h.evicted {
		_ = h.dir.RemoveAll(previous) // or by who finds the hold
	}
	h.scan.dir.Drop(holdName(h.profile), h.dir)
}

// Exists tells whether there is anything by the name of h's slot.
func (h *Hold) Exists() (bool, error) { return h.scan.Exists(h.profile) }

// lockPatience is how long Lock waits at the least: what it keeps apart takes
// milliseconds.
const lockPatience = 2 * time.Second

// Lock waits for the lock on profile name's slot, until deadline or for lockPatience,
// whichever is later. It is for whoever commands a gateway and records that, or changes
// what was commanded. Anybody who may read the slot can take it, and keep it: then the
// error is os.ErrDeadlineExceeded, which is no reason for not doing what an operator
// wants. With fs.ErrNotExist there is no slot, and nothing to command. To close what is
// returned is to unlock; it is nil with an error, and where the file system knows no locks.
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

// LockPorts locks the handing out of ports in home (see profile.Home.LockPorts). Where
// nothing can be made in the home, nothing is recorded there either; then it locks the
// handing out of those in this scan directory.
func (s *ScanDir) LockPorts(home *profile.Home, timeout time.Duration) (unlock func(), err error) {
	unlock, err = home.LockPorts(timeout)
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

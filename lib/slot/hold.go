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

// Three locks keep our processes apart. Each process takes them in this order: the hold on a
// profile (Hold), the lock of its slot (Lock), the lock on the ports of a home (LockPorts).
// The holder of the last one waits for nothing.

// A Hold is the right to make, change or remove the slot of one profile, and the place to do
// the work: a directory in the scan directory that its owner has locked. s6-svscan skips it
// because its name begins with a dot, and no other user can open it (mode 0700). The lock
// falls with its owner. So the content of a hold that can be locked is left over from a killed
// run, and the next process cleans it up.
type Hold struct {
	scan     *ScanDir
	profile  string
	dir      *dir.Dir
	deadline time.Time // that the caller of Hold gave; zero: none
	evicted  bool      // what had the slot's name is in the hold, and may come back
}

// work is the name in a hold of a slot that is being built or that has left the scan
// directory. All other files in a hold are on their way into a slot.
const work = "slot"

func holdName(name string) string { return "." + profile.Slot(name) }

// Hold waits for the hold on profile name, until deadline at the latest (exit code 99), and
// finishes what a killed run left in it.
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

// euid owns what we create.
var euid = sync.OnceValue(os.Geteuid)

// checkOwn refuses a hold that another user made, who could open and lock it.
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
		_ = h.dir.RemoveAll(previous) // on failure the next owner of the hold does it
	}
	h.scan.dir.Drop(holdName(h.profile), h.dir)
}

// Exists reports whether anything has the name of h's slot.
func (h *Hold) Exists() (bool, error) { return h.scan.Exists(h.profile) }

// lockPatience is how long Lock waits at least. The work under that lock takes milliseconds.
const lockPatience = 2 * time.Second

// Lock waits for the lock on profile name's slot, until deadline or for lockPatience,
// whichever is later. Take it to command a gateway and record the command, or to change what
// was commanded. Any user who may read the slot can take the lock and keep it. The error is
// then os.ErrDeadlineExceeded, which is no reason to refuse what an operator wants.
// fs.ErrNotExist means that there is no slot and nothing to command. Closing the returned
// directory unlocks it. It is nil with an error, and on a file system without locks.
func (s *ScanDir) Lock(name string, deadline time.Time) (*dir.Dir, error) {
	service := s.Service(name)
	if earliest := time.Now().Add(lockPatience); deadline.Before(earliest) { // applies to 0 too: another user may keep the lock for ever
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
		// Between the open and the lock the slot may have been replaced by another.
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

// Unlockable reports whether err, from Lock, is no reason not to change the slot.
func Unlockable(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, fs.ErrNotExist)
}

// LockPorts locks the ports of home (see profile.Home.LockPorts). If nothing can be created in
// the home, nothing is recorded there either. Then it locks the ports of this scan directory only.
func (s *ScanDir) LockPorts(home *profile.Home, timeout time.Duration) (unlock func(), err error) {
	unlock, err = home.LockPorts(timeout)
	if !profile.Unwritable(err) {
		return unlock, err
	}
	const nobody = "" // no profile has this name, so the hold belongs to none
	h, err := s.take(nobody, func(d *dir.Dir) error { return d.Lock(Deadline(timeout)) })
	if err != nil {
		return nil, err
	}
	return h.Release, nil
}

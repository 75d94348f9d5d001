//go:build linux

package slot

import (
	"errors"
	"os"
	"sync"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
)

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
		return fail.Errorf(fail.System, "%s: not ours: remove it", d.Path(""))
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

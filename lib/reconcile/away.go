//go:build linux

package reconcile

import (
	"errors"
	"time"

	"hermes-s6/lib/profile"
)

// wait says why there is nothing to look at, once, and has the next look come soon.
func (f *Follower) wait(err error) error {
	if f.away != err.Error() {
		f.away = err.Error()
		f.Warn("waiting for the home, and removing nothing: %v", err)
	}
	if f.watch == nil {
		f.watch = newWatch()
	}
	for _, p := range f.profiles {
		p.missing = time.Time{} // it is not known whether it is
	}
	f.next = time.Now().Add(min(f.Interval, pace))
	return nil
}

// lost is an error where no profiles are there and some were, since profiles/, or the
// home, is another directory than it was: a volume that is not mounted is no profile
// that somebody has removed.
func (f *Follower) lost(h *profile.Home, names []string, home, in profile.ID) error {
	if f.home == home && f.in == in || f.home == (profile.ID{}) {
		return nil
	}
	// Any profile will do, also one that was not there: then this is a home, and it has
	// others now.
	for _, name := range names {
		if there, err := h.Has(name); err == nil && there {
			return nil
		}
	}
	had := false
	for name, p := range f.profiles {
		had = had || p.glance != nil && name != profile.Default
	}
	if !had && f.home != home && !f.bare {
		bare, err := h.Bare()
		if err != nil {
			return err
		}
		had = bare
	}
	if had {
		return errors.New("another directory, without profiles, is in its place")
	}
	return nil
}

// adopt takes the slots that are there at the beginning for those of profiles that are
// gone, unless they are found: a follower that was killed has not removed them.
func (f *Follower) adopt(plan *Plan, names []string, now time.Time) error {
	if len(names) == 0 {
		return nil // as an empty mount point has
	}
	slots, err := plan.ScanDir.Profiles()
	for _, name := range slots {
		f.profiles[name] = &followed{missing: now, slot: true}
	}
	return err
}

//go:build linux

package reconcile

import (
	"errors"
	"time"

	"hermes-s6/lib/profile"
)

// wait reports once why there is nothing to look at, and schedules the next look soon.
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

// lost returns an error if there are no profiles although there were some, and profiles/ or
// the home is another directory than before. A volume that is not mounted does not mean that
// someone has removed its profiles.
func (f *Follower) lost(h *profile.Home, names []string, home, in profile.ID) error {
	if f.home == home && f.in == in || f.home == (profile.ID{}) {
		return nil
	}
	// Any profile proves that this is a home, even a profile that is new: the home then has
	// other profiles now.
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

// adopt treats slots that exist at the beginning as those of removed profiles, until the
// profiles are found: a follower that was killed has not removed such slots.
func (f *Follower) adopt(plan *Plan, names []string, now time.Time) error {
	if len(names) == 0 {
		return nil // as in an empty mount point
	}
	slots, err := plan.ScanDir.Profiles()
	for _, name := range slots {
		f.profiles[name] = &followed{missing: now, slot: true}
	}
	return err
}

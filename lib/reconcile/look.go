//go:build linux

package reconcile

import (
	"errors"
	"slices"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
)

// look looks at the profiles that are due, and has a plan do what follows.
func (f *Follower) look() error {
	plan, err := f.Open()
	switch {
	case err != nil && fail.CodeOf(err) != fail.System:
		return err // this error is permanent
	case err != nil:
		return f.wait(err)
	}
	defer plan.Close()
	if plan.Home == nil {
		return f.wait(errors.New("no such directory"))
	}
	now := time.Now()
	home, in, err := plan.Home.IDs()
	// After the home was away, only a look at all profiles shows whether it is back.
	all := f.away != "" || !now.Before(f.next) || home != f.home || in != f.in
	var names []string
	if all && err == nil {
		if names, home, in, err = plan.Home.Names(); err == nil {
			err = f.lost(plan.Home, names, home, in)
		}
	}
	if err != nil {
		return f.wait(err)
	}
	if f.bare, err = plan.Home.Bare(); err != nil {
		return f.wait(err)
	}
	if f.away != "" {
		f.Warn("the home is back")
		f.away = ""
	}
	if f.home == (profile.ID{}) {
		if err := f.adopt(plan, names, now); err != nil {
			return err
		}
	}
	fresh := f.rewatch(plan.Home, home, in)
	if all {
		f.looked, f.next = now, now.Add(f.Interval)
		names = append(names, profile.Default)
	}
	if fresh {
		f.next = now
	}
	return f.act(plan, f.glances(plan, now, all, names), now)
}

// rewatch watches the home and profiles/, and starts all watches anew if either was replaced.
// It reports whether it did. Then all profiles must be looked at again, because changes before
// that went unnoticed.
func (f *Follower) rewatch(h *profile.Home, home, in profile.ID) bool {
	if f.watch != nil && !f.watch.ended && f.home == home && f.in == in {
		return false
	}
	if f.watch != nil {
		f.watch.Close()
	}
	f.watch = newWatch()
	f.home, f.in = home, in
	f.watch.follow(h, watchedHome)
	f.watch.follow(h, watchedProfiles)
	return true
}

// A change is what one look has found.
type change struct {
	seen           map[string]*profile.Glance // of profiles for which there is something to do
	define, intend map[string]bool            // see Plan
	everybody      bool                       // something that concerns all has changed
	gone           []string                   // for long enough
}

// glances looks at what is due, or at all profiles, and at names.
func (f *Follower) glances(plan *Plan, now time.Time, all bool, names []string) change {
	c := change{seen: map[string]*profile.Glance{}, define: map[string]bool{}, intend: map[string]bool{}}
	// Some room is reserved for new directories: they are more likely to become profiles.
	f.room = maxStrangers
	if all {
		f.room = maxStrangers / 2
	}
	f.known = 0
	for _, p := range f.profiles {
		if p.known() {
			f.known++
		}
	}
	for name, p := range f.profiles {
		if at := p.due(f.PruneDelay); all || !at.IsZero() && !now.Before(at) {
			f.glance(plan, &c, name, p, now)
		}
	}
	for _, name := range names {
		if f.profiles[name] == nil {
			f.glance(plan, &c, name, &followed{}, now)
		}
	}
	if c.everybody {
		for name, p := range f.profiles {
			if p.glance != nil && c.seen[name] == nil {
				c.seen[name], c.define[name] = p.glance, true
			}
		}
	}
	if f.watch.failed != nil && !f.limited {
		f.limited = true
		f.Warn("cannot watch all of the home, so it is checked every %v: %v", f.Interval, f.watch.failed)
	}
	return c
}

// glance looks at profile name, and records in c what is to be done for it.
func (f *Follower) glance(plan *Plan, c *change, name string, p *followed, now time.Time) {
	p.first = time.Time{}
	watched := f.watches(plan.Home, name, p)
	g, err := plan.Home.Glance(name, p.glance)
	if g != nil && !watched {
		f.watch.follow(plan.Home, name)
		g, err = plan.Home.Glance(name, p.glance)
	}
	if g != nil && !p.known() {
		f.profiles[name] = p
		f.known++
	}
	switch {
	case err != nil: // it may exist
		p.missing = time.Time{}
		if !p.known() {
			delete(f.profiles, name)
		}
	case g == nil:
		f.miss(c, name, p, now)
	default:
		p.missing = time.Time{}
		c.everybody = c.everybody || name == profile.Default && g.Reconfigured(p.glance)
		if !c.note(plan, name, g, p.glance) {
			p.glance = g
		}
	}
}

// note records what there is to do for profile name, which was like was before, and reports
// whether there is anything. A profile whose slot was removed by someone gets a slot again if
// it was asked to run since then, or was replaced by another profile.
func (c *change) note(plan *Plan, name string, g, was *profile.Glance) bool {
	define, intend := g.Differs(was), g.Intends(was)
	if !define && !intend {
		return false
	}
	if !g.Other(was) && (!intend || g.Desired != profile.Running || g.Unregistered()) {
		if there, err := plan.ScanDir.Exists(name); err == nil && !there {
			return false
		}
	}
	c.seen[name], c.define[name], c.intend[name] = g, define, intend
	return true
}

// miss records that profile name is not, or no longer, a profile.
func (f *Follower) miss(c *change, name string, p *followed, now time.Time) {
	switch {
	case !p.known():
		delete(f.profiles, name) // its directory, if it is one, stays watched
	case p.missing.IsZero():
		p.missing = now
	case now.Sub(p.missing) >= f.PruneDelay:
		c.gone = append(c.gone, name)
	}
}

// warnOnce reports err unless it is the same as the last one.
func (f *Follower) warnOnce(last *string, err error) {
	if *last != err.Error() {
		*last = err.Error()
		f.Warn("%v", err)
	}
}

// forget forgets profiles that are gone and have no slot any more. The others count as newly
// gone, for a later try.
func (f *Follower) forget(plan *Plan, gone []string, now time.Time) error {
	if len(gone) == 0 {
		return nil
	}
	slots, err := plan.ScanDir.Profiles()
	for _, name := range gone {
		if slices.Contains(slots, name) || err != nil {
			f.profiles[name].missing = now.Add(max(0, pace-f.PruneDelay))
		} else {
			delete(f.profiles, name)
		}
	}
	return err
}

// act has plan do what follows from c, which was seen at now.
func (f *Follower) act(plan *Plan, c change, now time.Time) error {
	if len(c.seen)+len(c.gone) == 0 {
		return nil
	}
	plan.Only, plan.Redefine, plan.Intend = map[string]bool{}, c.define, c.intend
	plan.Gone, plan.In = c.gone, f.in
	for name := range c.seen {
		plan.Only[name] = true
	}
	err := f.Prepare(plan)
	var results []Result
	if err == nil {
		results, err = plan.Run()
	}
	if err != nil {
		f.next = time.Now().Add(pace)
		f.warnOnce(&f.trouble, err)
	} else {
		f.trouble = ""
	}
	for i := range results {
		r := &results[i]
		p := f.profiles[r.Profile]
		if p != nil {
			p.pay(now)
			if r.Err != nil {
				// It keeps what it has, and is tried again when all are looked at.
				if p.said == r.Err.Error() {
					continue
				}
				p.said = r.Err.Error()
			} else if errors.Is(r.Warning, errMeanwhile) {
				f.changed(r.Profile) // what is wanted counts again for the new slot
			} else if err == nil {
				p.glance, p.said = c.seen[r.Profile], ""
			}
		}
		if r.Err == nil && (r.Action == Unchanged || r.Action == Skipped) {
			continue
		}
		if err := f.Say(*r); err != nil {
			return err
		}
	}
	return f.forget(plan, c.gone, time.Now())
}

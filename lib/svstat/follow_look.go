//go:build linux

package svstat

import (
	"errors"
	"io/fs"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/slot"
)

// look looks at all that is due, and reports what has changed. It sets up the watches before
// it looks, so that no change is missed in between.
func (f *Follower) look(now time.Time) error {
	if !f.next.IsZero() && !now.Before(f.next) {
		f.next, f.reopen, f.rehome = now.Add(interval), true, true
	}
	first := f.whole.IsZero()
	all, err := f.prepare(now)
	if err != nil {
		return err
	}
	root := f.root != nil && f.root.take(f, all, now)
	var due []*followed
	for _, e := range f.order {
		if e == f.root && root || e.take(f, all, now) {
			due = append(due, e)
		}
	}
	changes, err := f.read(due, first, now)
	if err != nil {
		return err
	}
	if root {
		f.askRoot(now)
	}
	if f.watch.failed != nil && f.next.IsZero() {
		f.Warn("inotify cannot watch everything, so everything is checked every %d s: %v", interval/time.Second, f.watch.failed)
		f.next = now.Add(interval)
	}
	if first || len(changes) > 0 || f.Ages && len(due) > 0 {
		return f.Changed(changes)
	}
	return nil
}

// take reports whether e is to be looked at now, and watches it.
func (e *followed) take(f *Follower, all bool, now time.Time) bool {
	if !all && (e.due.IsZero() || now.Before(e.due)) {
		return false
	}
	if all {
		e.tries = 0
	}
	if e.rewatch || all {
		e.rewatch = false
		f.watch.drop(&e.watched)
		f.watch.service(f, e)
	}
	e.due, e.looked = time.Time{}, now
	return true
}

// prepare reopens the home and the scan directory if they may have been replaced. Then all
// that is in them is to be looked at.
func (f *Follower) prepare(now time.Time) (all bool, err error) {
	if !f.reopen && !f.rehome {
		return false, nil
	}
	if f.Depth >= Table {
		f.watch.homeDir(f)
		f.Reader.Reopen()
		if home := f.home(); home != nil {
			f.watch.profiles(home)
		}
	}
	if f.scans {
		f.watch.scanDir(f)
		f.scan.Close()
		if f.scan, err = f.Open(); f.scan != nil {
			_ = f.watch.add(f.scan.ProcPath(), names, role{kind: inScan, by: &f.watch.scan})
		}
		if err == nil {
			err = f.list()
		}
	}
	f.reopen, f.rehome = false, false
	if err = f.waitOut(err); err == nil {
		f.whole = now
	}
	return true, err
}

// waitOut reports err once and schedules another look at everything. At the beginning it
// returns err instead.
func (f *Follower) waitOut(err error) error {
	text := ""
	if err != nil {
		if f.whole.IsZero() {
			return err
		}
		f.next = time.Now().Add(interval)
		if text = err.Error(); text != f.trouble {
			f.Warn("%v", err)
		}
	}
	if err == nil && f.watch.failed == nil {
		f.next = time.Time{}
	}
	f.trouble = text
	return nil
}

// list finds the gateways in the scan directory.
func (f *Follower) list() error {
	if !f.All || f.scan == nil {
		return nil
	}
	names, err := slot.Profiles(f.scan)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // removed since it was opened
		return err
	}
	for _, name := range names {
		f.appeared(name)
	}
	return nil
}

// appeared follows the gateway of profile name, if it is new.
func (f *Follower) appeared(name string) *followed {
	a := GatewayAsked(name)
	e := f.all[a.Service.Name]
	if e == nil {
		e = f.follow(a)
		if f.root != nil && f.root.hidden && name == profile.Default {
			f.watch.drop(&f.root.watched)
			f.root = e
		}
		// Sorted by name, unless the caller gave an order.
		i := len(f.order) - 1
		for ; i > 0 && f.order[i-1].Name > name; i-- {
			f.order[i] = f.order[i-1]
		}
		f.order[i] = e
	}
	return e
}

// in returns the directory that contains the service of e.
func (f *Follower) in(e *followed) *dir.Dir {
	if e.In != nil {
		return e.In
	}
	return f.scan
}

// read reads the states of due, and returns what has changed.
func (f *Follower) read(due []*followed, first bool, now time.Time) (changes []Change, err error) {
	asked := make([]Asked, len(due))
	for i, e := range due {
		asked[i] = e.Asked
		asked[i].In = f.in(e)
	}
	states, errs := f.Reader.each(asked, f.Depth)
	for i, e := range due {
		switch {
		case errs[i] == nil:
			if c, differs := f.found(e, states[i], now); differs {
				changes = append(changes, c)
			}
		case fail.CodeOf(errs[i]) != fail.Absent:
			f.failed(e, errs[i])
		case e.there:
			changes = append(changes, Change{Name: e.Name, Path: e.state.Path()})
			e.gone()
		case !f.All && first:
			return nil, errs[i] // a service that does not exist at the beginning is a usage error
		}
	}
	if f.All {
		f.forget()
	}
	return changes, nil
}

// found records the state of e, and reports whether it differs from the previous one.
func (f *Follower) found(e *followed, s State, now time.Time) (c Change, differs bool) {
	if s.PID != e.state.PID {
		e.tries = 0
	}
	s.of.self = profile.Self{} // of any size, and no longer needed
	e.state = s
	f.failed(e, s.Linked)
	f.again(e, now)
	shown := f.Shown(&s)
	if e.there && shown == e.shown {
		return c, false
	}
	e.there, e.shown = true, shown
	return Change{Name: e.Name, Path: s.Path(), State: &e.state}, true
}

// failed reports once what cannot be read of e.
func (f *Follower) failed(e *followed, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != e.err && err != nil {
		f.Failed(err)
	}
	e.err = text
}

func (e *followed) gone() { e.there, e.shown, e.state, e.tries = false, "", State{}, 0 }

// forget forgets what was not a gateway, or no longer is.
func (f *Follower) forget() {
	left := f.order[:0]
	for _, e := range f.order {
		if e.there || e.err != "" || !e.due.IsZero() || e.rewatch {
			left = append(left, e)
			continue
		}
		f.watch.drop(&e.watched)
		delete(f.all, e.Service.Name)
		if e == f.root {
			f.root = hiddenRoot()
			f.root.due = e.looked
		}
	}
	f.order = left
}

// askRoot asks the root profile's gateway which profiles it serves, and looks again at those
// for which the answer makes a difference.
func (f *Follower) askRoot(now time.Time) {
	served := map[string]bool(nil)
	if f.scan != nil {
		served = f.servedBy(&s6.Service{In: f.scan, Name: f.root.Service.Name})
	}
	for _, e := range f.order {
		if e.Gateway && !e.state.Up && served[e.Name] != f.served[e.Name] {
			e.happened(now)
		}
	}
	f.served = served
}

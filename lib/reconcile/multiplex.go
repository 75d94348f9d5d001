//go:build linux

package reconcile

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"hermes-s6/lib/profile"
	"hermes-s6/lib/slot"
)

// Which gateways start. Where the root profile's serves all profiles, one of a named
// profile would end at once (78), or serve it a second time: it stays down, and what
// was wanted of it is wanted of the root profile's.

// A Multiplexing is whether the root profile's gateway serves all profiles.
type Multiplexing int

const (
	Separate    Multiplexing = iota
	Multiplexed              // named profiles stay down, but for those that stand alone
	Undecided                // it cannot be known: nothing starts but the root profile's
)

// A folding is what becomes of profiles that another's gateway serves.
type folding struct {
	names  map[string]bool // those that were to run
	root   bool            // the root profile's gateway starts for them
	record bool            // and that is to be recorded
}

// starts tells whether the gateway of f is to start.
func (r *run) starts(f *profile.Found) bool {
	switch {
	case r.NoStart || f.Parked:
		return false
	case f.Name == profile.Default:
		// The operator's last word is on the gateway that serves them all.
		return f.State.Starts() || r.fold.root && f.State.Desired != profile.Stopped
	case r.Multiplex == Multiplexed:
		return f.State.Starts() && f.Standalone
	}
	return f.State.Starts() && r.Multiplex == Separate
}

// prepare finds out what is folded into the root profile's gateway.
func (r *run) prepare(found []profile.Found) {
	for i := range found {
		// What profile.Home.Bootstrap would have recorded.
		if !found[i].Stray && slices.Contains(r.Bootstrap, found[i].Name) {
			found[i].State.Desired = profile.Running
		}
	}
	if r.Multiplex != Multiplexed || r.NoStart {
		return
	}
	names := map[string]bool{}
	for i := range found {
		// Also of another container's share: the root profile's gateway serves
		// them all, from wherever it runs.
		f := &found[i]
		if f.Name != profile.Default && f.Err == nil && !f.Stray && f.State.Starts() && !f.Standalone && !f.Parked {
			names[f.Name] = true
		}
	}
	if len(names) == 0 {
		return
	}
	root := &found[0]
	if root.State.Desired == profile.Stopped {
		// The operator's last word on the gateway that serves them all.
		root.Warning = errors.Join(root.Warning, fmt.Errorf("its gateway serves all profiles, %d of which are to run, but it is stopped; start it with hermes-svc start %s", len(names), profile.Default))
		return
	}
	r.fold = folding{names: names, root: true, record: !root.State.Starts() && root.Err == nil && r.Select.Has(root.Name) && !r.DryRun}
}

// recordFolded records what was folded into the root profile's gateway, so that it
// stands at the next boot as well.
func (r *run) recordFolded() {
	if !r.fold.record {
		return
	}
	if err := r.intendFolded(); err != nil {
		for i := range r.results {
			if r.results[i].Profile == profile.Default {
				r.results[i].Warning = errors.Join(r.results[i].Warning, err)
			}
		}
	}
}

// intendFolded records it, unless somebody has stopped the gateway since it was found.
func (r *run) intendFolded() error {
	lock, err := r.ScanDir.Lock(profile.Default, r.deadline)
	if err != nil && !slot.Unlockable(err) {
		return err
	}
	defer lock.Close()
	if r.Home.DesiredState(profile.Default) == profile.Stopped {
		return nil
	}
	return r.Home.Intend(profile.Default, profile.Running, time.Now())
}

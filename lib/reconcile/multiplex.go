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

// Which gateways start. If the root profile's gateway serves all profiles, a named profile's
// own gateway would exit at once (78), or serve the profile a second time. So it stays down,
// and what was wanted of it is wanted of the root profile's gateway.

// A Multiplexing says whether the root profile's gateway serves all profiles.
type Multiplexing int

const (
	Separate    Multiplexing = iota
	Multiplexed              // named profiles stay down, except standalone ones
	Undecided                // it cannot be known: only the root profile's gateway starts
)

// A folding describes the profiles that another profile's gateway serves.
type folding struct {
	names  map[string]bool // those that were to run
	root   bool            // the root profile's gateway starts for them
	record bool            // and that is to be recorded
}

// starts reports whether the gateway of f is to start.
func (r *run) starts(f *profile.Found) bool {
	switch {
	case r.NoStart || f.Parked:
		return false
	case f.Name == profile.Default:
		// The operator's last command to the gateway that serves all profiles takes precedence.
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
		// This includes profiles of another container's share: the root profile's gateway
		// serves them all, wherever it runs.
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
		// The operator's last command to the gateway that serves all profiles.
		root.Warning = errors.Join(root.Warning, fmt.Errorf("its gateway serves all profiles, %d of which are to run, but it is stopped; start it with `hermes-svc start %s`", len(names), profile.Default))
		return
	}
	r.fold = folding{names: names, root: true, record: !root.State.Starts() && root.Err == nil && r.Select.Has(root.Name) && !r.DryRun}
}

// recordFolded records what was folded into the root profile's gateway, so that it holds at
// the next boot as well.
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

// intendFolded records it, unless the gateway was stopped since it was found.
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

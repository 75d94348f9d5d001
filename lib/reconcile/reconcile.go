//go:build linux

// Package reconcile makes the slots of a scan directory match the profiles of a home. It
// decides what each profile needs. Package slot knows how a slot is made or removed, package
// profile what is recorded of a profile.
package reconcile

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"hermes-s6/lib/fence"
	"hermes-s6/lib/gateway"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/script"
	"hermes-s6/lib/slot"
)

// A Plan is what a run is to do.
type Plan struct {
	*gateway.Manager
	Select    Selection
	Standby   bool // profiles of the other shards stand by
	Prune     bool // unregister slots whose profile is gone
	Multiplex Multiplexing
	NoStart   bool // no gateway starts
	// Bootstrap names profiles that a dry run assumes to be recorded as running, if nothing is
	// recorded for them.
	Bootstrap []string
	DryRun    bool
	Timeout   time.Duration

	// The following fields are for a Follower. For other runs Only is nil.

	// Only names the profiles for which something is done. Redefine names those whose slot is
	// brought to its definition, as is done for each one without a slot. Intend names those
	// whose gateway is started or stopped if its slot shows that something else was asked for
	// last.
	Only, Redefine, Intend map[string]bool
	// Gone names slots that are unregistered if there is no such profile in the profiles/
	// directory that In identifies.
	Gone []string
	In   profile.ID
}

// run is one execution of a Plan.
type run struct {
	*Plan
	deadline time.Time
	slots    map[string]bool // what has a slot's name in the scan directory
	ports    *profile.Ports
	results  []Result
	awaited  []int // results of slots that s6-svscan is yet to take up
	fold     folding
}

// A job is a profile that is to have a slot.
type job struct {
	*profile.Found
	*script.Definition      // without what is in a large record
	unrecorded         bool // its port is not on record yet
}

// Run executes p. Results are in the order of the profiles. An error is about the run as a
// whole; the results are then what was done before it.
func (p *Plan) Run() ([]Result, error) {
	r := &run{Plan: p, ports: profile.NewPorts(), slots: map[string]bool{}}
	found, jobs, err := r.assign()
	if err != nil {
		return nil, err
	}
	// The time spent waiting for the lock on the ports does not count for the slots.
	r.deadline = slot.Deadline(p.Timeout)
	obeyed := r.obey(jobs)
	r.putAll(jobs)
	r.recordFolded()
	err = r.settle(found)
	for i, action := range obeyed {
		if r.results[i].Err == nil {
			r.results[i].Action = action
		}
	}
	return slices.DeleteFunc(r.results, func(x Result) bool { return x.Profile == "" }), err
}

// concerns reports whether something is to be done for profile name.
func (r *run) concerns(name string) bool { return r.Only == nil || r.Only[name] }

// assign decides what each profile needs and gives each its port, with the ports locked. When
// it returns, the ports are on record, so the slots can be made without the lock. That
// prevents a deadlock: a process that waited for a slot while it had the lock might wait for a
// process that has the slot and waits for the lock. Without the lock no port is guessed;
// profiles with a port on record need none.
func (r *run) assign() (found []profile.Found, jobs []*job, err error) {
	var lockErr error
	if !r.DryRun {
		var unlock func()
		if unlock, lockErr = r.ScanDir.LockPorts(r.Home, r.Timeout); lockErr == nil {
			defer unlock()
		}
	}
	names, err := r.ScanDir.Profiles()
	if err != nil {
		return nil, nil, err
	}
	for _, n := range names {
		r.slots[n] = true
	}
	if found, err = r.Home.Survey(r.stale); err != nil {
		return nil, nil, err
	}
	r.prepare(found)
	r.claimInForce(found, names)
	jobs = make([]*job, len(found))
	r.results = make([]Result, len(found))
	for i := range found {
		if r.concerns(found[i].Name) {
			jobs[i], r.results[i] = r.one(&found[i])
		}
	}
	if !r.DryRun {
		r.record(jobs, lockErr)
	}
	return found, jobs, nil
}

// stale reports whether no gateway of profile name can be running: the profile is ours, not
// another container's on the same home, and it is not supervised here.
func (r *run) stale(name string) bool {
	if r.DryRun || !r.Select.Has(name) || !r.concerns(name) {
		return false
	}
	at, path := r.Home.At(name, fence.File)
	if s, _ := fence.Look(at, path, 0); s.Held {
		return false // it is up in another container
	}
	if !r.slots[name] {
		return true
	}
	supervised, err := r.ScanDir.Service(name).Supervised()
	return !supervised && err == nil
}

// claimInForce takes the ports that are in force before any port is derived: a profile keeps
// its port even if another one's name derives the same. A gateway may be running on the port
// of its slot, so slots come before records. If each profile has a port of its own on record,
// none needs to be derived and no slot needs to be read.
func (r *run) claimInForce(found []profile.Found, slots []string) {
	recorded := map[int]bool{}
	for i := range found {
		recorded[found[i].Settings.InForce()] = true
	}
	if recorded[0] || len(recorded) < len(found) {
		r.Home.TakeSlots(r.ports, slots, r.ScanDir.Ports())
	}
	for i := range found {
		if s := found[i].Settings; s.InForce() != 0 {
			r.ports.Claim(found[i].Name, &s)
		}
	}
}

// one decides what profile f needs: a slot, or a result that says why it gets none.
func (r *run) one(f *profile.Found) (*job, Result) {
	result := Result{Profile: f.Name, Prior: f.State.Counts(), Warning: f.Warning}
	if f.Unclean {
		result.Exit = priorExit()
	}
	ours := r.Select.Has(f.Name)
	switch {
	case !ours && !(r.Standby && r.Select.matches(f.Name)):
		// The run that selects this profile reports its problems.
		result.Action, result.Warning = Skipped, nil
	case f.Err != nil:
		result.Action, result.Err = Failed, f.Err
	case f.Stray:
		result.Action = Skipped
		result.Warning = errors.New("profiles/default: the root profile is the home itself; this one is left alone")
	default:
		recorded := f.Settings.InForce()
		d, err := r.Define(r.ports, f.Name, &f.Settings, !r.starts(f))
		if err == nil {
			d.Standby = !ours
			return &job{f, d, d.Port != recorded}, result
		}
		result.Action, result.Err = Failed, err
	}
	return nil, result
}

// record records the ports that are not on record. If that fails, a port that follows from the
// profile's name alone will be found again, and the first such result warns for all of them. A
// profile whose port depends on the order of profiles fails, and so does each one that needs a
// port when the ports could not be locked. Its entry in jobs is then nil.
func (r *run) record(jobs []*job, lockErr error) {
	var given []profile.Given
	var of []int
	errs := make([]error, len(jobs))
	for i, j := range jobs {
		if j != nil && j.unrecorded {
			errs[i] = lockErr
			given, of = append(given, profile.Given{Name: j.Name, Port: j.Port}), append(of, i)
		}
	}
	if lockErr == nil {
		r.ports.Remember()
		for k, err := range r.Home.RecordPorts(given) {
			errs[of[k]], jobs[of[k]].unrecorded = err, err != nil
		}
	}
	warned := false
	for i, err := range errs {
		switch {
		case err == nil:
		case lockErr == nil && jobs[i].Port == profile.DerivePort(jobs[i].Name):
			if result := &r.results[i]; !warned {
				result.Warning = errors.Join(result.Warning, fmt.Errorf("its port and those of others are not recorded: %w", err))
				warned = true
			}
		default:
			jobs[i] = nil
			r.results[i].Action, r.results[i].Err = Failed, err
		}
	}
}

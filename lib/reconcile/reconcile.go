//go:build linux

// Package reconcile makes the slots of a scan directory match the profiles of a
// home. It decides what each profile needs; how a slot is made or removed is
// package slot's business, what is recorded of a profile package profile's.
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
	// Bootstrap names profiles that a dry run takes to be recorded as running,
	// where nothing is recorded of them.
	Bootstrap []string
	DryRun    bool
	Timeout   time.Duration

	// What follows is for a Follower; Only nil for all others.

	// Only names the profiles for which something is done: Redefine those of them whose
	// slot is brought to its definition, as that of each that has none; Intend those
	// whose gateway is started or stopped if its slot says that something else was asked
	// for last.
	Only, Redefine, Intend map[string]bool
	// Gone names slots that are unregistered if there is no such profile, in the
	// profiles/ that is In.
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
	*script.Definition      // but for what is in a large record
	unrecorded         bool // its port is not on record yet
}

// Run executes p. Results are in the order of the profiles; an error is about
// the run as a whole, and results are then what was done before it.
func (p *Plan) Run() ([]Result, error) {
	r := &run{Plan: p, ports: profile.NewPorts(), slots: map[string]bool{}}
	found, jobs, err := r.assign()
	if err != nil {
		return nil, err
	}
	// Waiting for who hands out ports was not the slots' time.
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

// concerns tells whether something is to be done for profile name.
func (r *run) concerns(name string) bool { return r.Only == nil || r.Only[name] }

// assign decides what each profile needs, and gives each its port; that is locked. When
// it returns, the ports are on record, so that the slots can be made without the lock:
// whoever waited for a slot with it might wait for another who has that slot, and waits
// for the lock. Without the lock no port is guessed; profiles that have theirs on record
// need none.
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
	if err = r.claimInForce(found); err != nil {
		return nil, nil, err
	}
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

// stale tells whether no gateway of profile name can be running: it is ours, not
// that of another container on the same home, and nobody supervises it here.
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

// claimInForce takes the ports that are in force before any is derived: a profile keeps
// the one that it has, even if another one's name derives it. A gateway may be running on
// the port of its slot, so slots come before records. Where each profile has a port of its
// own on record, there is none to derive, and no slot need be read.
func (r *run) claimInForce(found []profile.Found) error {
	recorded := map[int]bool{}
	for i := range found {
		recorded[found[i].Settings.InForce()] = true
	}
	if recorded[0] || len(recorded) < len(found) {
		slots, files, err := r.ScanDir.Ports()
		if err != nil {
			return err
		}
		r.ports.TakeAll(slots, "", files)
	}
	for i := range found {
		if s := found[i].Settings; s.InForce() != 0 {
			r.ports.Claim(found[i].Name, &s)
		}
	}
	return nil
}

// one decides what profile f needs: a slot, or a result that says why not.
func (r *run) one(f *profile.Found) (*job, Result) {
	result := Result{Profile: f.Name, Prior: f.State.Counts(), Warning: f.Warning}
	if f.Unclean {
		result.Exit = priorExit()
	}
	ours := r.Select.Has(f.Name)
	switch {
	case !ours && !(r.Standby && r.Select.matches(f.Name)):
		// What is wrong with it is for whoever selects it to say.
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

// record puts the ports on record that are not. Where that fails, a port that follows from
// the profile's name alone will be found again, and the first such result warns for all. A
// profile whose port depends on the order in which they came has failed, as has each that
// needs one where ports could not be locked: its entry in jobs is then nil.
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

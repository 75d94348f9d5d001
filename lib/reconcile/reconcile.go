//go:build linux

// Package reconcile makes the slots of a scan directory match the profiles of a
// home. It decides what each profile needs; how a slot is made or removed is
// package slot's business, what is recorded of a profile package profile's.
package reconcile

import (
	"errors"
	"slices"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/par"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/slot"
)

// A Plan is what a run is to do.
type Plan struct {
	Home *profile.Home // locked, if it could be
	Scan *slot.Scan
	// Host gives what slots in a dialect have in common.
	Host      func(profile.Dialect) (*slot.Host, error)
	Select    Selection
	Prune     bool // unregister slots whose profile is gone
	Multiplex Multiplexing
	NoStart   bool // no gateway starts
	// Bootstrap names profiles that a dry run takes to be recorded as running,
	// where nothing is recorded of them.
	Bootstrap []string
	DryRun    bool
	Timeout   time.Duration
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

// worthSealing is how many profiles it takes for slot.Scan.ReadSeals to save more
// than a few milliseconds.
const worthSealing = 200

// Run executes p. Results are in the order of the profiles; an error is about
// the run as a whole, and results are then what was done before it.
func (p *Plan) Run() ([]Result, error) {
	r := &run{Plan: p, deadline: slot.Deadline(p.Timeout), ports: profile.NewPorts(), slots: map[string]bool{}}
	names, err := p.Scan.Profiles()
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		r.slots[n] = true
	}
	found, err := p.Home.Survey(r.stale)
	if err != nil {
		return nil, err
	}
	if len(found) >= worthSealing {
		p.Scan.ReadSeals()
	}
	found = r.prepare(found)
	r.claimRecorded(found)
	definitions := make([]*slot.Definition, len(found))
	r.results = make([]Result, len(found))
	for i := range found {
		definitions[i], r.results[i] = r.one(&found[i])
	}
	r.putAll(definitions)
	p.Home.Unlock() // who has which port can be seen from here on
	r.recordFolded()
	if len(found) >= worthSealing && !p.DryRun {
		_ = p.Scan.WriteSeals() // the next run takes longer, and that is all
	}
	return r.results, r.settle(found)
}

// stale tells whether no gateway of profile name can be running: it is ours, not
// that of another container on the same home, and nobody supervises it here.
func (r *run) stale(name string) bool {
	if r.DryRun || !r.Select.Has(name) {
		return false
	}
	if !r.slots[name] {
		return true
	}
	supervised, err := r.Scan.Service(name).Supervised()
	return !supervised && err == nil
}

// claimRecorded takes the ports that are on record before any is derived: who
// has one keeps it, whatever his name.
func (r *run) claimRecorded(found []profile.Found) {
	for i := range found {
		if s := found[i].Settings; s.InForce() != 0 {
			r.ports.Claim(found[i].Name, &s)
		}
	}
}

// one decides what profile f needs: a slot, or a result that says why not.
func (r *run) one(f *profile.Found) (*slot.Definition, Result) {
	result := Result{Profile: f.Name, Prior: f.State.Counts(), Warning: f.Warning}
	switch {
	case !r.Select.Has(f.Name):
		// What is wrong with it is for whoever selects it to say.
		result.Action, result.Warning = Skipped, nil
	case f.Err != nil:
		result.Action, result.Err = Failed, f.Err
	case f.Stray:
		result.Action = Skipped
		result.Warning = errors.New("profiles/default: the root profile is the home itself; this one is left alone")
	default:
		d, err := r.define(f)
		if err == nil {
			return d, result
		}
		result.Action, result.Err = Failed, err
	}
	return nil, result
}

// define makes a definition of profile f, and records the port that it got where
// that depends on who came first.
func (r *run) define(f *profile.Found) (*slot.Definition, error) {
	host, err := r.Host(f.Settings.Dialect)
	if err != nil {
		return nil, err
	}
	recorded := f.Settings.InForce()
	port := r.ports.Claim(f.Name, &f.Settings)
	if port != recorded && port != profile.DerivePort(f.Name) && !r.DryRun {
		if _, err := r.Home.Record(f.Name, f.Settings); err != nil {
			return nil, err
		}
	}
	return &slot.Definition{Host: host, Profile: f.Name, Port: port, Settings: &f.Settings, Down: !r.starts(f)}, nil
}

// put brings d's slot to what it is to be, and tells whether it is supervised.
func (r *run) put(d *slot.Definition) (action string, live bool, err error) {
	// Most of the time there is nothing to do, and nobody to keep away.
	found, err := r.Scan.Look(d)
	if err != nil || found.Matches {
		return Unchanged, found.Live, err
	}
	var change slot.Change
	if r.DryRun {
		change = slot.Change{Made: !found.Exists, Files: []string{"some"}}
	} else {
		hold, err := r.Scan.Hold(d.Profile, r.deadline)
		if err != nil {
			return "", false, err
		}
		defer hold.Release()
		if change, err = hold.Put(d); err != nil {
			return "", false, err
		}
	}
	switch {
	case change.Made && d.Down:
		return Registered, false, nil
	case change.Made:
		return Started, false, nil
	case len(change.Files) > 0:
		return Updated, found.Live && !change.Anew, nil
	}
	return Unchanged, found.Live, nil
}

// putAll puts the slots of definitions, of which some are nil, and completes
// their results. The slots have nothing to do with each other, and the work is
// system calls: every processor can take its share.
func (r *run) putAll(definitions []*slot.Definition) {
	lives := make([]bool, len(definitions))
	par.Do(len(definitions), func(i int) {
		if d := definitions[i]; d != nil {
			result := &r.results[i]
			result.Action, lives[i], result.Err = r.put(d)
			switch {
			case result.Err != nil:
				result.Action = Failed
			case result.Action != Unchanged && r.fold.names[d.Profile]:
				result.Action = Folded
			}
		}
	})
	for i, d := range definitions {
		if d != nil && r.results[i].Err == nil && !lives[i] {
			r.awaited = append(r.awaited, i)
		}
	}
}

// settle has s6-svscan take up and drop what changed, with one rescan for all,
// and waits until it has.
func (r *run) settle(found []profile.Found) error {
	gone := r.gone(found)
	if r.DryRun {
		for _, name := range gone {
			r.results = append(r.results, Result{Profile: name, Action: Removed})
		}
		return nil
	}
	// Waiting for who is at work on one profile was not the others' time.
	r.deadline = slot.Deadline(r.Timeout)
	rescanned := false
	for _, x := range r.Scan.Retire(gone, r.Timeout, func(string) error { return nil }) {
		result := Result{Profile: x.Profile, Action: Removed, Err: x.Err}
		if x.Err != nil {
			result.Action = Failed
		} else {
			rescanned = true // to be reaped is a part of it
		}
		r.results = append(r.results, result)
	}
	if !rescanned && len(r.awaited) > 0 && r.Scan.Watched() {
		if err := r.Scan.Rescan(r.deadline); err != nil {
			return err
		}
	}
	r.await()
	return nil
}

// gone lists the slots to prune.
func (r *run) gone(found []profile.Found) []string {
	if !r.Prune {
		return nil
	}
	for i := range found {
		delete(r.slots, found[i].Name)
	}
	var gone []string
	for name := range r.slots {
		gone = append(gone, name)
	}
	slices.Sort(gone)
	return gone
}

// await waits until what is new is supervised. s6-svscan has room for so many
// services, and s6-svscanctl does not say when it has none.
func (r *run) await() {
	if !r.Scan.Alive() {
		return // it takes up what it finds when it starts
	}
	names := make([]string, len(r.awaited))
	for k, i := range r.awaited {
		names[k] = r.results[i].Profile
	}
	for k, err := range r.Scan.AwaitSupervised(names, r.Timeout) {
		result := &r.results[r.awaited[k]]
		if fail.CodeOf(err) == fail.Absent {
			continue // unregistered since: that was asked for later than this
		}
		if err != nil {
			result.Action, result.Err = Failed, err
		}
	}
}

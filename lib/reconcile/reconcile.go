//go:build linux

// Package reconcile makes the slots of a scan directory match the profiles of a
// home. It decides what each profile needs; how a slot is made or removed is
// package slot's business, what is recorded of a profile package profile's.
package reconcile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/par"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/script"
	"hermes-s6/lib/slot"
)

// A Plan is what a run is to do.
type Plan struct {
	Home *profile.Home
	Scan *slot.Scan
	// Common gives what slots in a dialect have in common.
	Common    func(profile.Dialect) (*script.Common, error)
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

// A job is a profile that is to have a slot.
type job struct {
	*profile.Found
	*script.Definition      // but for what is in a large record
	unrecorded         bool // its port is not on record yet
}

// worthSealing is how many profiles it takes for slot.Scan.ReadSeals to save more
// than a few milliseconds.
const worthSealing = 200

// Run executes p. Results are in the order of the profiles; an error is about
// the run as a whole, and results are then what was done before it.
func (p *Plan) Run() ([]Result, error) {
	r := &run{Plan: p, ports: profile.NewPorts(), slots: map[string]bool{}}
	found, jobs, err := r.assign()
	if err != nil {
		return nil, err
	}
	if len(found) >= worthSealing {
		p.Scan.ReadSeals()
	}
	// Waiting for who hands out ports was not the slots' time.
	r.deadline = slot.Deadline(p.Timeout)
	r.putAll(jobs)
	r.recordFolded()
	if len(found) >= worthSealing && !p.DryRun {
		_ = p.Scan.WriteSeals() // the next run takes longer, and that is all
	}
	return r.results, r.settle(found)
}

// assign decides what each profile needs, and gives each its port, which nobody else
// may do meanwhile. What has been assigned is on record when it returns, so that the
// slots can be made without the lock: nobody who holds it waits for a slot, which
// another may have in hand who waits for it. Who cannot have the lock does not
// guess: profiles that have their port on record need none.
func (r *run) assign() (found []profile.Found, jobs []*job, err error) {
	var lockErr error
	if !r.DryRun {
		var unlock func()
		if unlock, lockErr = r.Scan.LockPorts(r.Home, r.Timeout); lockErr == nil {
			defer unlock()
		}
	}
	names, err := r.Scan.Profiles()
	if err != nil {
		return nil, nil, err
	}
	for _, n := range names {
		r.slots[n] = true
	}
	if found, err = r.Home.Survey(r.stale); err != nil {
		return nil, nil, err
	}
	found = r.prepare(found)
	r.claimInForce(found, names)
	jobs = make([]*job, len(found))
	r.results = make([]Result, len(found))
	for i := range found {
		jobs[i], r.results[i] = r.one(&found[i])
	}
	if !r.DryRun {
		r.record(jobs, lockErr)
	}
	return found, jobs, nil
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

// claimInForce takes the ports that are in force before any is derived: who has one
// keeps it, whatever his name. A gateway may be running on that of its slot, so slots
// come before records; but where each profile has one of its own on record, there is
// none to derive, and no slot need be read.
func (r *run) claimInForce(found []profile.Found, slots []string) {
	recorded := map[int]bool{}
	for i := range found {
		recorded[found[i].Settings.InForce()] = true
	}
	if recorded[0] || len(recorded) < len(found) {
		r.ports.TakeAll(slots, "", r.Scan.Port)
	}
	for i := range found {
		if s := found[i].Settings; s.InForce() != 0 {
			r.ports.Claim(found[i].Name, &s)
		}
	}
}

// one decides what profile f needs: a slot, or a result that says why not.
func (r *run) one(f *profile.Found) (*job, Result) {
	result := Result{Profile: f.Name, Prior: f.State.Counts(), Warning: f.Warning}
	if f.Unclean {
		result.Exit = priorExit()
	}
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
		j, err := r.define(f)
		if err == nil {
			return j, result
		}
		result.Action, result.Err = Failed, err
	}
	return nil, result
}

// define makes a definition of profile f.
func (r *run) define(f *profile.Found) (*job, error) {
	common, err := r.Common(f.Settings.Dialect)
	if err != nil {
		return nil, err
	}
	recorded := f.Settings.InForce()
	port := r.ports.Claim(f.Name, &f.Settings)
	d := &script.Definition{Common: common, Profile: f.Name, Port: port, Settings: &f.Settings, Down: !r.starts(f)}
	return &job{f, d, port != recorded}, nil
}

// record puts the ports on record that are not. One that the name alone decides is
// found again without; then the first result warns for all. A profile whose port
// depends on who came first has failed, and so has each where ports could not be
// locked: its jobs entry is nil then.
func (r *run) record(jobs []*job, lockErr error) {
	errs := make([]error, len(jobs))
	par.Do(len(jobs), func(i int) {
		if j := jobs[i]; j != nil && j.unrecorded {
			if errs[i] = lockErr; lockErr == nil {
				errs[i] = r.Home.RecordPort(j.Name, j.Port)
			}
			j.unrecorded = errs[i] != nil
		}
	})
	warned := false
	for i, err := range errs {
		switch {
		case err == nil:
		case lockErr == nil && jobs[i].Port == profile.DerivePort(jobs[i].Name):
			if result := &r.results[i]; !warned {
				result.Warning = errors.Join(result.Warning, fmt.Errorf("its port, and those of others, cannot be recorded: %w", err))
				warned = true
			}
		default:
			jobs[i] = nil
			r.results[i].Action, r.results[i].Err = Failed, err
		}
	}
}

// errMeanwhile is why a profile is skipped.
var errMeanwhile = errors.New("somebody else has registered or unregistered it meanwhile: left as it is")

// put brings j's slot to what it is to be, and tells whether it is supervised.
func (r *run) put(j *job, result *Result) (live bool, err error) {
	d := *j.Definition
	if j.Large {
		s, err := r.Home.Settings(j.Name)
		if err != nil {
			return false, err
		}
		d.Settings = &s
	}
	// Most of the time there is nothing to do, and nobody to keep away.
	found, err := r.Scan.Look(&d)
	if err != nil || found.Matches {
		result.Action = Unchanged
		return found.Live, err
	}
	change := slot.Change{Made: !found.Exists, Files: []string{"some"}}
	if !r.DryRun {
		change, err = r.change(j, &d, result)
	}
	switch {
	case errors.Is(err, errMeanwhile):
		result.Action, result.Warning = Skipped, errors.Join(result.Warning, err)
		return true, nil
	case err != nil:
		return false, err
	case change.Made && d.Down:
		result.Action = Registered
		return false, nil
	case change.Made:
		result.Action = Started
		return false, nil
	case len(change.Files) > 0:
		result.Action = Updated
	default:
		result.Action = Unchanged
	}
	return found.Live && !change.Anew, nil
}

// change makes j's slot what d says, with others kept away from it. What they did
// before they let go of it counts: it was asked for later than this run.
func (r *run) change(j *job, d *script.Definition, result *Result) (change slot.Change, err error) {
	hold, err := r.Scan.Hold(d.Profile, r.deadline)
	if err != nil {
		return change, err
	}
	defer hold.Release()
	if now, err := r.Home.Settings(j.Name); err != nil || !j.same(&now, d.Settings) {
		return change, cmp.Or(err, errMeanwhile)
	}
	// A start or a stop needs no hold, but a slot: then ./down and what is recorded
	// are to be those of one of us.
	lock, err := r.Scan.Lock(d.Profile, r.deadline)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		result.Warning = errors.Join(result.Warning, errors.New("another process keeps its slot locked: going on without the lock"))
	case errors.Is(err, fs.ErrNotExist):
		return hold.Put(d)
	case err != nil:
		return change, err
	}
	defer lock.Close()
	now := *j.Found
	if err := r.Home.Reread(&now); err != nil {
		return change, err
	}
	d.Down = !r.starts(&now)
	return hold.Put(d)
}

// same tells whether now, which is on record, is what j is made of.
func (j *job) same(now, of *profile.Settings) bool {
	if j.unrecorded {
		now.DerivedPort = of.DerivedPort
	}
	return now.Equal(of)
}

// putAll puts the slots of jobs, of which some are nil, and completes their results.
// The slots have nothing to do with each other, and the work is system calls: every
// processor can take its share. Large ones come one by one, since each needs memory.
func (r *run) putAll(jobs []*job) {
	lives := make([]bool, len(jobs))
	some := func(i int, large bool) {
		j := jobs[i]
		if j == nil || j.Large != large {
			return
		}
		result, err := &r.results[i], error(nil)
		switch lives[i], err = r.put(j, result); {
		case err != nil:
			result.Action, result.Err = Failed, err
		case result.Action != Unchanged && r.fold.names[j.Definition.Profile]:
			result.Action = Folded
		}
	}
	par.Do(len(jobs), func(i int) { some(i, false) })
	for i, j := range jobs {
		some(i, true)
		if j != nil && r.results[i].Err == nil && !lives[i] {
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

//go:build linux

package reconcile

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"

	"hermes-s6/lib/par"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/script"
	"hermes-s6/lib/slot"
)

// errMeanwhile is why a profile is skipped.
var errMeanwhile = errors.New("left as it is: somebody else registered or unregistered it")

// put makes j's slot what it is to be, and reports whether it is supervised.
func (r *run) put(j *job, result *Result) (live bool, err error) {
	d := *j.Definition
	if j.Large {
		s, err := r.Home.Settings(j.Name)
		if err != nil {
			return false, err
		}
		d.Settings = &s
	}
	// Usually there is nothing to do, and no need to lock anyone out.
	found, err := r.ScanDir.Look(&d)
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

// change makes j's slot match d, with other processes locked out. What they did before they
// released the slot counts: it was asked for later than this run.
func (r *run) change(j *job, d *script.Definition, result *Result) (change slot.Change, err error) {
	hold, err := r.ScanDir.Hold(d.Profile, r.deadline)
	if err != nil {
		return change, err
	}
	defer hold.Release()
	if now, err := r.Home.Settings(j.Name); err != nil || !j.same(&now, d.Settings) {
		return change, cmp.Or(err, errMeanwhile)
	}
	// A start or a stop takes the slot's lock, not the hold. The lock makes ./down and the
	// recorded state come from the same process.
	lock, err := r.ScanDir.Lock(d.Profile, r.deadline)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		result.Warning = errors.Join(result.Warning, errors.New("another process keeps its slot locked; continuing without the lock"))
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
	change, err = hold.Put(d)
	// It is no reason to stop a gateway that it no longer says what was asked for.
	asked := !d.Down || now.State.Desired == profile.Stopped
	if err == nil && asked && r.Intend[j.Found.Name] && slices.Contains(change.Files, script.DownFile) {
		err = r.tell(j.Found.Name, d.Down)
	}
	return change, err
}

// same reports whether now, the present record, is what j is made of.
func (j *job) same(now, of *profile.Settings) bool {
	if j.unrecorded {
		now.DerivedPort = of.DerivedPort
	}
	return now.Equal(of)
}

// putAll puts the slots of jobs, some of which are nil, and completes their results. The slots
// are independent and the work is system calls, so every processor takes its share. Large ones
// come one by one, since each needs memory.
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

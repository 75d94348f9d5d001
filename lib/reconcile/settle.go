//go:build linux

package reconcile

import (
	"slices"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/slot"
)

// settle has s6-svscan take up and drop what changed, with one rescan for all, and waits until
// that is done.
func (r *run) settle(found []profile.Found) error {
	gone := r.gone(found)
	if r.DryRun {
		for _, name := range gone {
			r.results = append(r.results, Result{Profile: name, Action: Removed})
		}
		return nil
	}
	// The wait for one profile that was in use does not count against the others.
	r.deadline = slot.Deadline(r.Timeout)
	rescanned := false
	for _, x := range r.ScanDir.Retire(gone, r.Timeout, func(string) error { return nil }) {
		result := Result{Profile: x.Profile, Action: Removed, Err: x.Err}
		if x.Err != nil {
			result.Action = Failed
		} else {
			rescanned = true // the reap included a rescan
		}
		r.results = append(r.results, result)
	}
	if !rescanned && len(r.awaited) > 0 && r.ScanDir.Watched() {
		if err := r.ScanDir.Rescan(r.deadline); err != nil {
			return err
		}
	}
	r.await()
	return nil
}

// gone lists the slots to prune.
func (r *run) gone(found []profile.Found) []string {
	for i := range found {
		delete(r.slots, found[i].Name)
	}
	var gone []string
	if r.Only != nil {
		// The volume may have gone since they were missed.
		if _, _, in, err := r.Home.Names(); err != nil || in != r.In {
			return nil
		}
		return slices.DeleteFunc(r.Gone, func(name string) bool { return !r.slots[name] })
	}
	if !r.Prune {
		return nil
	}
	for name := range r.slots {
		gone = append(gone, name)
	}
	slices.Sort(gone)
	return gone
}

// await waits until the new slots are supervised. s6-svscan has room for a limited number of
// services, and s6-svscanctl does not report that it is full.
func (r *run) await() {
	if !r.ScanDir.Alive() {
		return // it takes up what it finds when it starts
	}
	names := make([]string, len(r.awaited))
	for k, i := range r.awaited {
		names[k] = r.results[i].Profile
	}
	for k, err := range r.ScanDir.AwaitSupervised(names, r.Timeout) {
		result := &r.results[r.awaited[k]]
		if fail.CodeOf(err) == fail.Absent {
			continue // unregistered since, which was asked for later than this
		}
		if err != nil {
			result.Action, result.Err = Failed, err
		}
	}
}

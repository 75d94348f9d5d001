//go:build linux

package reconcile

import (
	"slices"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/slot"
)

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
	// To wait for one profile, at which somebody was at work, was not the others' time.
	r.deadline = slot.Deadline(r.Timeout)
	rescanned := false
	for _, x := range r.ScanDir.Retire(gone, r.Timeout, func(string) error { return nil }) {
		result := Result{Profile: x.Profile, Action: Removed, Err: x.Err}
		if x.Err != nil {
			result.Action = Failed
		} else {
			rescanned = true // to be reaped is a part of it
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
		// Since they were missed the volume may have gone.
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

// await waits until what is new is supervised. s6-svscan has room for so many
// services, and s6-svscanctl does not say when it has none.
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
			continue // unregistered since: that was asked for later than this
		}
		if err != nil {
			result.Action, result.Err = Failed, err
		}
	}
}

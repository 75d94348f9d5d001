//go:build linux

package svstat

import (
	"path/filepath"

	"hermes-s6/lib/proc"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
)

// markServed finds out which of all are down because the root profile's gateway, in
// the same scan directory, serves all profiles. That says so itself, and is asked only
// where it makes a difference.
func (r *Reader) markServed(all []facts) {
	served := map[s6.Service]map[string]bool{}
	for i := range all {
		f := &all[i]
		if !f.Gateway || f.status.Supervised && f.status.Up() {
			continue
		}
		root := s6.Service{In: f.In, Name: filepath.Join(filepath.Dir(f.Service.Name), profile.Slot(profile.Default))}
		names, asked := served[root]
		if !asked {
			names = r.servedBy(&root)
			served[root] = names
		}
		f.served = names[f.Name]
	}
}

// servedBy asks root, the root profile's gateway, if it is up.
func (r *Reader) servedBy(root *s6.Service) map[string]bool {
	home := r.home() // without one there is nobody to say it
	status, err := root.Status(r.Programs)
	if err != nil || home == nil || !status.Supervised || !status.Up() {
		return nil
	}
	target := profile.Target{PID: status.PID}
	target.Start, _ = proc.StartTime(status.PID)
	return home.Served(target)
}

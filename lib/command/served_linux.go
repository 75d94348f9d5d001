package command

import (
	"path/filepath"

	"hermes-s6/lib/proc"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
)

// markServed finds out which of rows are down because the root profile's gateway, in
// the same scan directory, serves all profiles. That says so itself, and is asked only
// where it makes a difference.
func (q *query) markServed(rows []row) {
	served := map[s6.Service]map[string]bool{}
	for i := range rows {
		r := &rows[i]
		if !r.profile || r.isUp() {
			continue
		}
		root := s6.Service{In: r.In, Name: filepath.Join(filepath.Dir(r.Name), profile.Slot(profile.Default))}
		names, asked := served[root]
		if !asked {
			names = q.servedBy(&root)
			served[root] = names
		}
		r.served = names[r.name]
	}
}

// servedBy asks root, the root profile's gateway, if it is up.
func (q *query) servedBy(root *s6.Service) map[string]bool {
	if q.home == nil {
		q.home, _ = q.OpenHome() // without one there is nobody to say it
	}
	status, err := root.Status(q.Programs())
	if err != nil || q.home == nil || !status.Supervised || !status.Up() {
		return nil
	}
	target := profile.Target{PID: status.PID}
	target.Start, _ = proc.StartTime(status.PID)
	return q.home.Served(target)
}

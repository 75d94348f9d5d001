//go:build linux

package reconcile

import (
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/profile"
)

// obey starts and stops the gateways of jobs for which the wanted state has changed, and
// returns what it did, by index. A slot shows what was asked for last, whoever asked. So a
// command that a supervisor already got is not repeated, and what a killed follower did not
// finish, the next one does.
func (r *run) obey(jobs []*job) map[int]string {
	did, alone := map[int]string{}, map[int]bool{} // alone: it is not supervised
	for _, wanted := range []bool{false, true} {
		var names []string
		var at []int
		for i, j := range jobs {
			if j == nil || !r.Intend[j.Found.Name] || !j.wants(wanted) || !r.slots[j.Found.Name] {
				continue
			}
			service := r.ScanDir.Service(j.Found.Name)
			if supervised, err := service.Supervised(); err == nil && !supervised {
				alone[i] = true // putting its slot does it
			} else if normallyUp, e := service.NormallyUp(); err == nil && e == nil && normallyUp != wanted {
				names, at = append(names, j.Found.Name), append(at, i)
			}
		}
		do := r.Stop
		if wanted {
			do = r.Start
		}
		if len(names) == 0 {
			continue
		}
		for k, o := range do(names, manager.Options{Timeout: r.Timeout, Here: true, Intent: obedience{r}}) {
			did[at[k]] = o.Action
			if o.Err == nil {
				continue
			}
			result := &r.results[at[k]]
			result.Action, result.Err = Failed, o.Err
			if fail.CodeOf(o.Err) == fail.Absent { // unregistered since
				result.Action, result.Err, result.Warning = Skipped, nil, errMeanwhile
				delete(did, at[k])
			}
			jobs[at[k]] = nil
		}
	}
	for i, j := range jobs {
		if j != nil && r.Only != nil && !r.Redefine[j.Found.Name] && r.slots[j.Found.Name] && !alone[i] {
			jobs[i], r.results[i].Action = nil, Unchanged // its slot is unchanged
		}
	}
	return did
}

// wants reports whether someone asked for j's gateway to be up or, if up is false, down. A
// gateway's own account of itself is no reason to stop a gateway that starts, or to start one
// that has ended. A configuration that keeps a gateway down at boot is no reason to stop one
// that runs.
func (j *job) wants(up bool) bool {
	if up {
		return j.State.Desired == profile.Running && !j.Down
	}
	return j.State.Desired == profile.Stopped
}

// tell tells the supervisor of profile name's slot what ./down says, which was just changed.
// This closes a race: the supervisor may have started after obey looked, and have read the old
// ./down. The slot must be locked, so that no later command comes in between.
func (r *run) tell(name string, down bool) error {
	service := r.ScanDir.Service(name)
	st, err := service.Status(r.ScanDir.Programs)
	if err != nil {
		return err
	}
	command := "u"
	if down {
		command = "d"
		if st.Up() {
			obedience{r}.PlanStop(name, st.PID)
		}
	}
	// A supervisor that does not listen yet has not looked for ./down yet.
	if err = service.Control(command); fail.CodeOf(err) == fail.Absent {
		return nil
	}
	return err
}

// An obedience is the manager.Intent of a run that obeys what is recorded.
type obedience struct{ *run }

// PlanStop implements manager.Intent.
func (o obedience) PlanStop(name string, pid int) {
	_ = o.Home.PlanStop(name, profile.TargetOf(pid), time.Now())
}

// Record implements manager.Intent.
func (o obedience) Record(string) {}

// Confirm implements manager.Intent.
func (o obedience) Confirm(string) {}

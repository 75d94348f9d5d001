//go:build linux

package reconcile

import (
	"time"

	"hermes-s6/lib/manager"
	"hermes-s6/lib/profile"
)

// obey starts and stops the gateways of jobs of which something else is wanted than was,
// and returns what it did, by index. A slot says what was asked for last, whoever did: so
// what somebody has told a supervisor is not done a second time, and what a killed
// follower has not done the next one does.
func (r *run) obey(jobs []*job) map[int]string {
	did := map[int]string{}
	for _, wanted := range []bool{false, true} {
		var names []string
		var at []int
		for i, j := range jobs {
			if j != nil && r.Intend[j.Found.Name] && j.wants(wanted) && r.disagrees(j, wanted) {
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
			if o.Err != nil {
				r.results[at[k]].Action, r.results[at[k]].Err = Failed, o.Err
				jobs[at[k]] = nil
			}
		}
	}
	for i, j := range jobs {
		if j != nil && r.Only != nil && !r.Redefine[j.Found.Name] && r.slots[j.Found.Name] {
			jobs[i], r.results[i].Action = nil, Unchanged // its slot is what it was
		}
	}
	return did
}

// wants tells whether somebody has said what is wanted of j's gateway, and what. A gateway's
// own account of itself is no reason to stop one that starts, or to start one that ended;
// nor is a configuration that keeps it down at a boot a reason to stop one that runs.
func (j *job) wants(up bool) bool {
	if up {
		return j.State.Desired == profile.Running && !j.Down
	}
	return j.State.Desired == profile.Stopped
}

// disagrees tells whether j's slot says something else than that its gateway is up, or not.
func (r *run) disagrees(j *job, up bool) bool {
	if !r.slots[j.Found.Name] {
		return false
	}
	service := r.ScanDir.Service(j.Found.Name)
	supervised, err := service.Supervised()
	if err != nil || !supervised {
		return false // putting its slot does it
	}
	normallyUp, err := service.NormallyUp()
	return err == nil && normallyUp != up
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

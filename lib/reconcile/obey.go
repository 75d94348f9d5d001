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
			if j != nil && !j.Down == wanted && r.Intend[j.Found.Name] && r.asked(j) && r.disagrees(j) {
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
	return did
}

// asked tells whether what is wanted of j's gateway is somebody's word: where nobody has
// said it, a pass takes the gateway's own account of itself, which is no reason to stop
// one that starts, or to start one that ended.
func (r *run) asked(j *job) bool {
	return j.State.Desired != "" || j.Parked || r.NoStart || r.Multiplex != Separate
}

// disagrees tells whether j's slot says something else than what is wanted.
func (r *run) disagrees(j *job) bool {
	if !r.slots[j.Found.Name] {
		return false
	}
	service := r.ScanDir.Service(j.Found.Name)
	supervised, err := service.Supervised()
	if err != nil || !supervised {
		return false // putting its slot does it
	}
	normallyUp, err := service.NormallyUp()
	return err == nil && normallyUp == j.Down
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

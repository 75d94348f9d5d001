package command

import (
	"hermes-s6/lib/fail"
	"hermes-s6/lib/svstat"
)

// metrics implements --metrics. A gateway that is down is not a failure: a script that stores
// the metrics only on success must also get those of gateways that are down.
func (q *query) metrics(r *svstat.Reader) error {
	names := map[string]bool{}
	for i := range q.asked {
		name := q.asked[i].Name
		if names[name] {
			return fail.Errorf(fail.Usage, "--metrics: two services are both named %q", name)
		}
		names[name] = true
	}
	states, errs := q.read(r, svstat.Object)
	svstat.Metrics(q.Out, states)
	return q.Last(errs)
}

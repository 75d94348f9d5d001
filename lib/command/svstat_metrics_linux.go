package command

import (
	"hermes-s6/lib/fail"
	"hermes-s6/lib/svstat"
)

// metrics is --metrics. What is down is no failure of it: whoever puts the metrics into a
// file, if that went well, shall have those of what is down.
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

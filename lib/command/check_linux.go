package command

import (
	"hermes-s6/lib/cli"
	"hermes-s6/lib/svstat"
)

// ready is the value of --check that asks for more than up.
const ready = "ready"

func checkFlag() *cli.Flag {
	return cli.More("print nothing; exit 0 if all that should be up are up, or ready", "check", ready)
}

// check implements --check.
func (q *query) check(r *svstat.Reader) error {
	q.fine = func(s *svstat.State) bool {
		return !s.Wanted() || s.Works() && (q.String("check") != ready || s.Serves())
	}
	return q.report(r, svstat.Object, func([]svstat.State) error { return nil })
}

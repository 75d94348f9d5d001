package profile

import (
	"slices"

	"hermes-s6/lib/proc"
)

// unfinished are the states that a gateway leaves by writing another before it ends.
var unfinished = []string{"starting", Running, degraded, draining, "stopping"}

// uncleanEnd tells whether the gateway of gateway_state.json v, which is in state s and
// cannot be running, ended without a word: it says that it is up, and names a process
// that is gone. Without a pid there was none that could have written the end.
func uncleanEnd(v values, s State) bool {
	if !slices.Contains(unfinished, s.Gateway) {
		return false
	}
	said := selfOf(v)
	if said.PID <= 0 {
		return false
	}
	// The pid alone may be another's in the container of today.
	now, alive := proc.StartTime(said.PID)
	return !alive || said.Start != 0 && now != said.Start
}

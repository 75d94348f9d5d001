package profile

import (
	"slices"

	"hermes-s6/lib/proc"
)

// unfinished are the states that a gateway replaces with another one before it exits.
var unfinished = []string{"starting", Running, degraded, draining, "stopping"}

// uncleanEnd reports whether the gateway that wrote v (gateway_state.json), which is in state
// s and cannot be running, ended without recording it: the state says that the gateway is up,
// and names a process that is gone. Without a pid, no process could have recorded the end.
func uncleanEnd(v values, s State) bool {
	if !slices.Contains(unfinished, s.Gateway) {
		return false
	}
	said := selfOf(v)
	if said.PID <= 0 {
		return false
	}
	// In today's container the same pid may belong to another process.
	now, alive := proc.StartTime(said.PID)
	return !alive || said.Start != 0 && now != said.Start
}

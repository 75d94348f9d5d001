//go:build linux

package fence

import (
	"hermes-s6/lib/proc"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
)

// A Standing is the relation of a gateway's process to its fence.
type Standing int

const (
	Unfenced Standing = iota // it does not ask for one, or nothing shows that it does
	Coming                   // it has yet to ask
	StandsBy                 // it waits
	Holds
	Lacks // it runs, and does not hold what it took, or could not get it
)

// Of returns the standing of process pid, which the supervisor of a slot has started, towards
// the fence of which s is the state.
func (s *State) Of(pid int) Standing {
	if s.Held && s.PID == pid {
		return Holds
	}
	// The environment of a process shows how far it has come: each link of the chain executes
	// the next with another value.
	v, ok := proc.Environ(pid, script.FenceVariable, script.ChildVariable)
	switch {
	case !ok && proc.Owner(pid) == 0:
		return Coming // it may have yet to drop to our account
	case !ok:
		return Unfenced
	case v[0] == script.FenceWaits, v[0] == script.FenceDelays:
		return StandsBy
	case v[0] == script.FenceHeld, v[0] == script.FenceNone:
		return Lacks
	case v[0] == "" && v[1] != "": // it runs without a fence, or from a script that predates the fence
		return Unfenced
	}
	return Coming
}

// Elsewhere reports whether the holder of s was not started for slot.
func (s *State) Elsewhere(slot s6.Service) bool {
	if !s.Held || s.PID <= 0 {
		return s.Held
	}
	// A process without any environment is just executing the next link of the chain.
	v, ok := proc.Environ(s.PID, script.SlotVariable, "PATH")
	return ok && v[0] != slot.Path() && (v[0] != "" || v[1] != "")
}

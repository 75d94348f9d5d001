//go:build linux

package fence

import (
	"hermes-s6/lib/proc"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
)

// A Standing is how the process of a gateway stands to its fence.
type Standing int

const (
	Unfenced Standing = iota // it does not ask for one, or nothing says that it does
	Coming                   // it has yet to ask
	StandsBy                 // it waits
	Holds
	Lacks // it runs, and does not hold what it took, or could not have it
)

// Of returns how the process pid, which the supervisor of a slot has started, stands
// to the fence that s is of.
func (s *State) Of(pid int) Standing {
	if s.Held && s.PID == pid {
		return Holds
	}
	// A process says by its environment how far it has come: each link of the chain
	// executes the next with another value.
	v, ok := proc.Environ(pid, script.FenceVariable, script.ChildVariable)
	switch {
	case !ok && proc.Owner(pid) == 0:
		return Coming // it has yet to drop to the account that we are, perhaps
	case !ok:
		return Unfenced
	case v[0] == script.FenceWaits, v[0] == script.FenceDelays:
		return StandsBy
	case v[0] == script.FenceHeld, v[0] == script.FenceNone:
		return Lacks
	case v[0] == "" && v[1] != "": // it is executed without a fence, or by a script of before there was one
		return Unfenced
	}
	return Coming
}

// Elsewhere tells whether s is held by no process that was started for slot.
func (s *State) Elsewhere(slot s6.Service) bool {
	if !s.Held || s.PID <= 0 {
		return s.Held
	}
	// One without any environment executes the next link of the chain just now.
	v, ok := proc.Environ(s.PID, script.SlotVariable, "PATH")
	return ok && v[0] != slot.Path() && (v[0] != "" || v[1] != "")
}

package profile

// A Self is what the gateway of a profile says of itself in gateway_state.json. What it
// left out, or wrote as something else, is the zero value.
type Self struct {
	Kind         string
	PID          int
	Start        uint64  // when it started, in ticks since boot (field 22 of proc_pid_stat(5))
	State        string  // one of the known, "" or Unknown
	ActiveAgents float64 // how many it waits for before it ends
	ExitReason   string  // why it ended, in words of its own
}

// Draining tells whether the gateway takes nothing new and waits for agents at work.
func (s *Self) Draining() bool { return s.State == draining && s.ActiveAgents > 0 }

// Is tells whether process pid, which started at start, is a gateway of Hermes and
// wrote s. What another one left says nothing of it.
func (s *Self) Is(pid int, start uint64) bool {
	return s.Kind == "hermes-gateway" && s.PID == pid && s.Start == start
}

// Self returns what the gateway of profile name says of itself, nothing where that
// cannot be read.
func (h *Home) Self(name string) Self {
	_, o, _ := readState(h.dir, h.path(name, stateFile))
	if o == nil {
		return Self{}
	}
	return selfOf(o)
}

// selfOf takes it from gateway_state.json.
func selfOf(o *object) Self {
	var s Self
	for key, to := range map[string]any{
		"kind": &s.Kind, "pid": &s.PID, "start_time": &s.Start, "gateway_state": &s.State, "active_agents": &s.ActiveAgents,
		"exit_reason": &s.ExitReason,
	} {
		_ = o.read(key, to) // leaves the zero value, or what fits
	}
	s.State = known(s.State)
	return s
}

package profile

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// A Self is what the gateway of a profile says about itself in gateway_state.json. A value
// that is missing, or has another type, is zero.
type Self struct {
	Kind         string
	PID          int
	Start        uint64     // when it started, in ticks since boot (field 22 of proc_pid_stat(5))
	State        string     // a known state, "" or Unknown
	ActiveAgents float64    // how many agents it waits for before it exits; -1 if it does not say
	ExitReason   string     // why it exited, in its own words
	Platforms    []Platform // by name, without a limit on their number
}

// MaxWords is the number of bytes that are shown of a gateway's own words.
const MaxWords = 200

// A Platform is what a gateway says about one of its platforms, in its own words.
type Platform struct {
	Name, State string
	Complaint   string // what is wrong there, "" for nothing
}

// Complains reports whether something is wrong there.
func (p *Platform) Complains() bool { return p.Complaint != "" }

// Draining reports whether the gateway accepts no new work and waits for active agents.
func (s *Self) Draining() bool { return s.State == draining && s.ActiveAgents > 0 }

// Serves reports whether the gateway says that it works, if not on every platform.
func (s *Self) Serves() bool { return s.State == Running || s.State == degraded }

// Failed reports whether the gateway says that it could not start.
func (s *Self) Failed() bool { return s.State == startupFailed }

// By reports whether target wrote s. What another process wrote does not describe target. A
// process that cannot be told apart from others does not count.
func (s *Self) By(target Target) bool {
	return target.PID > 0 && target.Start > 0 && s.PID == target.PID && s.Start == target.Start
}

// Is reports whether target is a Hermes gateway and wrote s.
func (s *Self) Is(target Target) bool { return s.Kind == "hermes-gateway" && s.By(target) }

// Self returns what the gateway of profile name says about itself, or the zero Self if that
// cannot be read.
func (h *Home) Self(name string) Self {
	_, s := h.Says(name)
	return s
}

// Says reads gateway_state.json once and returns the state of profile name's gateway and what
// the gateway says about itself, or zero values if that cannot be read.
func (h *Home) Says(name string) (State, Self) {
	state, v, _ := readState(h.dir, h.path(name, stateFile)) // zero values on error
	if v == nil {
		return state, Self{}
	}
	return state, selfOf(v)
}

// selfOf extracts a Self from gateway_state.json.
func selfOf(v values) Self {
	s := Self{ActiveAgents: -1}
	for key, to := range map[string]any{
		"kind": &s.Kind, "pid": &s.PID, "start_time": &s.Start, "gateway_state": &s.State, "active_agents": &s.ActiveAgents,
		"exit_reason": &s.ExitReason,
	} {
		_ = v.read(key, to) // on error the value stays, or keeps what fits
	}
	s.State = known(s.State)
	s.Platforms = platformsOf(v)
	return s
}

// platformsOf extracts the platforms from gateway_state.json. A platform that is not an object
// is listed without details.
func platformsOf(v values) []Platform {
	var said map[string]struct {
		State   json.RawMessage `json:"state"`
		Message json.RawMessage `json:"error_message"`
		Needs   json.RawMessage `json:"needs_attention"`
	}
	_ = v.read("platforms", &said)
	names := make([]string, 0, len(said))
	for name := range said {
		names = append(names, name)
	}
	slices.Sort(names)
	all := make([]Platform, 0, len(names))
	for _, name := range names {
		p := said[name]
		complaint := cmp.Or(words(p.Message), words(p.Needs))
		if complaint == "" && string(p.Needs) == "true" {
			complaint = "it needs attention"
		}
		all = append(all, Platform{name, words(p.State), complaint})
	}
	return all
}

// words returns the string that value is, or "" if it is not a string.
func words(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return strings.TrimSpace(s)
}

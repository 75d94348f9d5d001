package profile

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// A Self is what the gateway of a profile says of itself in gateway_state.json. What it
// left out, or wrote as something else, is the zero value.
type Self struct {
	Kind         string
	PID          int
	Start        uint64     // when it started, in ticks since boot (field 22 of proc_pid_stat(5))
	State        string     // one of the known, "" or Unknown
	ActiveAgents float64    // how many it waits for before it ends; -1 where it does not say
	ExitReason   string     // why it ended, in words of its own
	Platforms    []Platform // by name, and as many as it likes
}

// MaxWords is how many bytes of a gateway's own words are shown.
const MaxWords = 200

// A Platform is what a gateway says of one that it serves, in words of its own.
type Platform struct {
	Name, State string
	Complaint   string // what is wrong there, "" for nothing
}

// Complains tells whether something is wrong there.
func (p *Platform) Complains() bool { return p.Complaint != "" }

// Draining tells whether the gateway takes nothing new and waits for agents at work.
func (s *Self) Draining() bool { return s.State == draining && s.ActiveAgents > 0 }

// Serves tells whether the gateway says that it does its work, if not on every platform.
func (s *Self) Serves() bool { return s.State == Running || s.State == degraded }

// Failed tells whether the gateway says that it could not start.
func (s *Self) Failed() bool { return s.State == startupFailed }

// By tells whether target wrote s. What another process left says nothing of it, and what
// cannot be told apart from another does not count.
func (s *Self) By(target Target) bool {
	return target.PID > 0 && target.Start > 0 && s.PID == target.PID && s.Start == target.Start
}

// Is tells whether target is a gateway of Hermes and wrote s.
func (s *Self) Is(target Target) bool { return s.Kind == "hermes-gateway" && s.By(target) }

// Self returns what the gateway of profile name says of itself, nothing where that
// cannot be read.
func (h *Home) Self(name string) Self {
	_, s := h.Says(name)
	return s
}

// Says returns what is on record of profile name's gateway, and what that says of
// itself, by one look; nothing where that cannot be read.
func (h *Home) Says(name string) (State, Self) {
	state, v, _ := readState(h.dir, h.path(name, stateFile)) // which is then nothing
	if v == nil {
		return state, Self{}
	}
	return state, selfOf(v)
}

// selfOf takes it from gateway_state.json.
func selfOf(v values) Self {
	s := Self{ActiveAgents: -1}
	for key, to := range map[string]any{
		"kind": &s.Kind, "pid": &s.PID, "start_time": &s.Start, "gateway_state": &s.State, "active_agents": &s.ActiveAgents,
		"exit_reason": &s.ExitReason,
	} {
		_ = v.read(key, to) // leaves what it was, or what fits
	}
	s.State = known(s.State)
	s.Platforms = platformsOf(v)
	return s
}

// platformsOf takes the platforms from gateway_state.json. One that is no object is there,
// and says nothing.
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

// words returns the string that value is, "" where it is none.
func words(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return strings.TrimSpace(s)
}
